-- Whether a worker lives that declares this. $1 digest
select exists (select from worker where stopped_at is null and $1 = any(declarations))

-- slots/lock_other_jobs
-- Locks jobs late, after occurrences: should that end in a deadlock, Postgres ends one of the two, which tries again. $1 job ids
select from job where id = any($1::bigint[]) order by id for no key update

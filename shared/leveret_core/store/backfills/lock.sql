-- The caller holds the lock of its job. $1 id
select state from backfill where id = $1 for no key update

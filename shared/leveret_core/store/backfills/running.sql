-- Backfills that have something left to create or to wait for, the oldest first.
select id from backfill where state = 'running' order by id

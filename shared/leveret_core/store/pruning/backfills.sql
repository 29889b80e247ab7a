-- Deletes backfills past their time; their occurrences ended no later and go with the others. $1 days
delete from backfill where finished_at < now() - $1 * interval '1 day'

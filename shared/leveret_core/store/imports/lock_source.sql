-- One import of a source at a time. $1 source
select pg_advisory_xact_lock(hashtextextended('leveret import ' || $1, 0))

-- no transaction
-- What jitter puts off has been told to nobody, and takes no place among the doorbells that are out: `rings` tells it apart.
create index concurrently if not exists occurrence_rung_told on occurrence (ring_at, type) include (rings)
    where state = 'pending' and ring_at is not null;
drop index concurrently if exists occurrence_rung;
alter index occurrence_rung_told rename to occurrence_rung;

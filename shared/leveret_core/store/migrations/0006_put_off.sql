-- What jitter puts off has been told to nobody, and takes no place among the doorbells that are out: `rings` tells it apart.
drop index occurrence_rung;
create index occurrence_rung on occurrence (ring_at, type) include (rings) where state = 'pending' and ring_at is not null;

-- The database's clock, off the full second, where only ticks are planned. $1 tries before this one
select clock_timestamp()
    + case when date_part('microseconds', clock_timestamp())::bigint % 1000000 = 0 then interval '1 microsecond' else interval '0' end
    + $1 * interval '1 microsecond'

-- What a clock that was ahead wrote is mended. $1 seconds
with noted as (
    update dispatcher_finding
    set clock_at = clock_timestamp(), clock_set_back = clock_set_back + 1, clock_set_back_at = now()
    where name = 'dispatcher'
)
insert into audit (actor, action, detail) values ('dispatcher', 'clock_set_back', jsonb_build_object('seconds', $1::double precision))

-- Backfills, dead letters, and one record for all ticks that an outage costs.

-- Fire times of the past, run because somebody asked for them.
create table backfill (
    id bigint generated always as identity primary key,
    job_id bigint not null references job (id),
    job_name text not null,
    -- The job's when somebody asked, so that the fire times do not change underway.
    trigger jsonb not null,
    start_at timestamptz not null,
    end_at timestamptz not null,
    concurrency text not null check (concurrency in ('skip', 'queue', 'allow')),
    max_concurrent integer not null check (max_concurrent between 1 and 10000),
    payload jsonb,
    state text not null default 'running' check (state in ('running', 'completed', 'cancelled')),
    reason text,
    total integer,
    created integer not null default 0,
    existing integer not null default 0,
    -- The last fire time that was dealt with; null before the first.
    reached timestamptz,
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    constraint backfill_range check (start_at < end_at)
);
create index backfill_by_job on backfill (job_id, id);

alter table occurrence
    add column backfill_id bigint,
    -- How somebody dealt with one that failed for good; null puts it into the view of dead letters.
    add column resolution text check (resolution in ('requeued', 'discarded')),
    drop constraint occurrence_origin_check,
    -- Not validated: the constraint before it was stricter, and history may be long.
    add constraint occurrence_origin_check check (origin in ('schedule', 'manual', 'requeue', 'backfill')) not valid;

update occurrence o set resolution = 'requeued'
from (select distinct requeue_of from occurrence where requeue_of is not null) r
where o.id = r.requeue_of and o.state in ('failed', 'timed_out');

-- The record of missed ticks that an outage being worked off adds to, as long as `next_fire_at` is what `missed_to` says.
alter table job
    add column missed_id bigint,
    add column missed_to timestamptz;

-- As before, except that no payload can give the key of a backfill's line, which is `backfill:` and its id.
create or replace function key_of(path text, payload jsonb) returns text language sql immutable parallel safe as $$
    select case
        when path is null then ''
        else coalesce((
            select case when length(v) > 200 or v like 'backfill:%' then 'md5:' || md5(v) else v end
            from (select payload #>> string_to_array(path, '.') as v) at
        ), '')
    end
$$;

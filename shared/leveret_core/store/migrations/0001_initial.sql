-- The whole schema of Leveret 0.1. Postgres is the only authority: every promise that can be a constraint is one here.

create type occurrence_state as enum (
    'waiting', 'pending', 'running', 'cancelling', 'retrying',
    'succeeded', 'failed', 'timed_out', 'cancelled', 'skipped', 'missed'
);

-- Leadership. Winning the Redis lock only permits raising `epoch`; every dispatcher transaction shares a lock on this row
-- and checks its own epoch, so that a stale term cannot commit. `lease_until` elects while Redis is away.
create table term (
    name text primary key,
    epoch bigint not null,
    holder uuid,
    holder_name text not null default '',
    acquired_at timestamptz not null default now(),
    lease_until timestamptz not null default '-infinity'
);
insert into term (name, epoch) values ('dispatcher', 0);

create table job (
    id bigint generated always as identity primary key,
    name text not null,
    type text not null,
    description text not null default '',
    tags text[] not null default '{}',
    payload jsonb not null default '{}',
    trigger jsonb not null,
    concurrency text not null default 'skip' check (concurrency in ('skip', 'queue', 'allow', 'replace')),
    -- Dotted path into the payload: slots and the line are counted for each value apart. null: for the whole job.
    concurrency_key text,
    max_concurrent integer not null default 1 check (max_concurrent between 1 and 10000),
    max_waiting integer not null default 1000 check (max_waiting between 1 and 100000),
    catch_up text not null default 'latest' check (catch_up in ('latest', 'all', 'none')),
    catch_up_window double precision not null default 3600 check (catch_up_window >= 0),
    timeout double precision check (timeout > 0),
    retry jsonb not null,
    max_runs bigint check (max_runs > 0),
    priority smallint not null default 5 check (priority between 0 and 9),
    runs bigint not null default 0,
    -- Occurrences that ended as failed or timed out since the last success; at `disable_after` the job is paused.
    disable_after integer check (disable_after > 0),
    failures integer not null default 0,
    version integer not null default 1,
    paused_at timestamptz,
    pause_reason text,
    next_fire_at timestamptz,
    last_fire_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz
);
create unique index job_name on job (name) where deleted_at is null;
create index job_due on job (next_fire_at) where next_fire_at is not null;
create index job_failing on job (id) where failures > 0;
create index job_listing on job (id) where deleted_at is null;

-- The value at a dotted path of a payload as text, empty when there is none; a long one is told by its hash.
create function key_of(path text, payload jsonb) returns text language sql immutable parallel safe as $$
    select case
        when path is null then ''
        else coalesce((
            select case when length(v) > 200 then 'md5:' || md5(v) else v end
            from (select payload #>> string_to_array(path, '.') as v) at
        ), '')
    end
$$;

create table occurrence (
    id bigint generated always as identity primary key,
    job_id bigint not null references job (id),
    job_name text not null,
    job_version integer not null,
    type text not null,
    payload jsonb not null,
    origin text not null check (origin in ('schedule', 'manual', 'requeue')),
    scheduled_for timestamptz not null,
    idempotency_key text,
    requeue_of bigint,
    concurrency_key text not null default '',
    priority smallint not null default 5,
    state occurrence_state not null,
    reason text,
    blocker_id bigint,
    missed_count integer,
    missed_until timestamptz,
    timeout double precision,
    retry jsonb not null,
    -- The latest attempt lives in this row; earlier ones are kept in `attempt`.
    attempt integer not null default 0,
    -- Attempts that are not charged against the policy: their worker died, or handed them back while draining.
    lost_count integer not null default 0,
    released_count integer not null default 0,
    worker_id uuid,
    claim_token uuid,
    seq integer not null default 0,
    progress jsonb,
    result jsonb,
    error jsonb,
    -- null: nobody was told yet; otherwise the time at which an unclaimed doorbell is rung again.
    ring_at timestamptz,
    rings integer not null default 0,
    retry_at timestamptz,
    epoch bigint,
    created_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    constraint occurrence_once unique (job_id, scheduled_for)
) with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
create unique index occurrence_idempotency on occurrence (job_id, idempotency_key) where idempotency_key is not null;
create index occurrence_unrung on occurrence (type, priority desc, id) where state = 'pending' and ring_at is null;
create index occurrence_rung on occurrence (ring_at, type) where state = 'pending' and ring_at is not null;
create index occurrence_waiting on occurrence (job_id, concurrency_key, scheduled_for, id) where state = 'waiting';
create index occurrence_retrying on occurrence (retry_at) where state = 'retrying';
create index occurrence_running on occurrence (worker_id) where state in ('running', 'cancelling');
create index occurrence_by_state on occurrence (state, id) where state <> 'succeeded';
create index occurrence_finished on occurrence (finished_at) where finished_at is not null;

-- The one table of transitions; leveret_core.states holds the same pairs and a test compares them.
create table occurrence_transition (
    from_state occurrence_state not null,
    to_state occurrence_state not null,
    primary key (from_state, to_state)
);
insert into occurrence_transition (from_state, to_state) values
    ('waiting', 'pending'), ('waiting', 'cancelled'),
    ('pending', 'running'), ('pending', 'cancelled'),
    ('running', 'succeeded'), ('running', 'failed'), ('running', 'timed_out'), ('running', 'cancelled'),
    ('running', 'retrying'), ('running', 'pending'), ('running', 'cancelling'),
    ('cancelling', 'succeeded'), ('cancelling', 'failed'), ('cancelling', 'timed_out'), ('cancelling', 'cancelled'),
    ('retrying', 'pending'), ('retrying', 'cancelled');

create function refuse_transition() returns trigger language plpgsql as $$
begin
    if not exists (
        select from occurrence_transition t where t.from_state = old.state and t.to_state = new.state
    ) then
        raise exception 'occurrence %: % cannot become %', old.id, old.state, new.state
            using errcode = 'check_violation';
    end if;
    return new;
end $$;

-- The commonest pairs are let through without a function call; the rest are looked up.
create trigger occurrence_state_guard before update of state on occurrence
    for each row
    when (
        old.state is distinct from new.state
        and not (old.state = 'pending' and new.state = 'running')
        and not (old.state = 'running' and new.state = 'succeeded')
    )
    execute function refuse_transition();

create table attempt (
    occurrence_id bigint not null references occurrence (id) on delete cascade,
    attempt integer not null,
    state text not null check (state in ('failed', 'timed_out', 'lost', 'released')),
    worker_id uuid,
    started_at timestamptz,
    finished_at timestamptz not null default now(),
    error jsonb,
    primary key (occurrence_id, attempt, finished_at)
);

-- A slot is the right of one occurrence to be the n-th live one of its job and key. It is taken in the transaction that makes the
-- occurrence pending, kept across retries, and given back in the transaction that makes it final. It has no foreign keys: both ids
-- come from rows of the same transaction, and checking them would cost as much as the slot itself.
create table slot (
    job_id bigint not null,
    key text not null,
    n integer not null,
    occurrence_id bigint not null unique,
    primary key (job_id, key, n)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

-- How many occurrences of a job type start within a time: a bucket of tokens, filled evenly, one for each first ring.
create table rate_limit (
    type text primary key,
    count integer not null check (count > 0),
    per double precision not null check (per >= 1),
    tokens double precision not null,
    filled_at timestamptz not null default clock_timestamp()
);

create table occurrence_log (
    occurrence_id bigint not null references occurrence (id) on delete cascade,
    attempt integer not null,
    seq integer not null,
    at timestamptz not null,
    level text not null,
    message text not null,
    fields jsonb,
    primary key (occurrence_id, attempt, seq)
);

-- A worker is one incarnation of a worker process. Its lease protects everything it runs.
create table worker (
    id uuid primary key,
    name text not null,
    host text not null,
    pid integer not null,
    sdk text not null,
    concurrency integer not null,
    handlers jsonb not null,
    running integer not null default 0,
    state text not null default 'alive' check (state in ('alive', 'draining', 'stopped', 'lost')),
    started_at timestamptz not null default now(),
    heartbeat_at timestamptz not null default now(),
    lease_until timestamptz not null,
    stopped_at timestamptz
) with (fillfactor = 70);
create index worker_live on worker (started_at) where stopped_at is null;

-- Who did what to which job or occurrence.
create table audit (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    actor text not null,
    action text not null,
    job_id bigint,
    occurrence_id bigint,
    detail jsonb
);
create index audit_by_job on audit (job_id, id) where job_id is not null;

-- Messages from workers that could not be applied, with their bytes.
create table dead_event (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    reason text not null,
    body bytea not null
);

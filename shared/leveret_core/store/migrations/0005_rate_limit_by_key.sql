-- How many occurrences of a job type start within a time for each value of a key in their payloads.
create table rate_limit_by_key (
    type text primary key,
    -- Dotted path into the payload.
    key text not null,
    count integer not null check (count > 0),
    per double precision not null check (per >= 1)
);

-- The bucket of tokens of one value. `ready_at` is when its next occurrence may start; null while none stands in line.
create table rate_bucket (
    type text not null,
    key text not null,
    tokens double precision not null,
    filled_at timestamptz not null,
    ready_at timestamptz,
    primary key (type, key)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
create index rate_bucket_ready on rate_bucket (type, ready_at) where ready_at is not null;

-- Occurrences that stand in line for a token of their value: their `ring_at` is infinity. Once told to workers they stay until somebody
-- looks and finds them claimed, so that it is known how many of a value nobody has answered.
create table rate_line (
    occurrence_id bigint primary key,
    type text not null,
    key text not null,
    priority smallint not null,
    told boolean not null default false
) with (autovacuum_vacuum_scale_factor = 0.02);
create index rate_line_order on rate_line (type, key, told, priority desc, occurrence_id);

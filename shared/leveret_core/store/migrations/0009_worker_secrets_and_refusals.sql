-- SHA-256 of the secret that the worker chose, without which nobody asks in its name. Empty: it said hello before there were secrets,
-- and has to say hello anew.
alter table worker add column secret bytea not null default '';

-- What workers got wrong, the same thing once, with how often: for the authors of workers. A worker may be here that is not in
-- `worker`, because its hello was refused; what tells no worker stands under the id of zeros.
create table refusal (
    worker_id uuid not null,
    kind text not null,
    reason text not null,
    worker_name text not null,
    count bigint not null,
    first_at timestamptz not null default now(),
    last_at timestamptz not null default now(),
    primary key (worker_id, kind, reason)
);
create index refusal_by_time on refusal (last_at);

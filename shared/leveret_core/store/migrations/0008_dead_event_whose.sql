-- Whose a message was that could not be applied, so that its worker's author can see it; and its digest, so that a message that is
-- delivered again is not kept twice.
set local lock_timeout = '5s';
alter table dead_event
    add column kind text not null default 'refused' check (kind in ('unreadable', 'refused', 'batch', 'version')),
    add column worker_id uuid,
    add column worker_name text,
    add column occurrence_id bigint,
    add column attempt integer,
    -- Bytes of the whole, of which `body` may be a part.
    add column size integer,
    add column digest bytea unique;
create index dead_event_by_worker on dead_event (worker_id, id) where worker_id is not null;
create index dead_event_by_occurrence on dead_event (occurrence_id, id) where occurrence_id is not null;

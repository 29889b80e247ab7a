-- What each worker named in its last heartbeat (null: it cannot say), and how far each ingestor has come: a run that its live worker
-- does not name, although all events have been read, has lost its end on the way.
set local lock_timeout = '5s';
alter table worker add column holding bigint[];
create table ingestor (
    id uuid primary key,
    -- Whatever the broker had given it before is in the tables.
    current_at timestamptz not null
);

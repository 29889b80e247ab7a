-- What the holder of the term found when it looked after things: one row, for whoever asks any replica. A table of its own: the row of
-- the term is locked by every transaction of the dispatcher.
create table dispatcher_finding (
    name text primary key,
    looked_at timestamptz,
    -- Occurrences, slots and backfills that were nobody's at the last look, and some of them.
    ownerless integer not null default 0,
    examples jsonb not null default '[]',
    -- How often the clock of Postgres was seen to go back, and when last.
    clock_set_back bigint not null default 0,
    clock_set_back_at timestamptz
);
insert into dispatcher_finding (name) values ('dispatcher');

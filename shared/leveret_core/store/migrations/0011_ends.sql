-- no transaction
-- "What failed yesterday": ends other than successes, by state and when they were.
create index concurrently if not exists occurrence_ended_in_state on occurrence (state, finished_at, id)
    where state <> 'succeeded' and finished_at is not null;

-- From one that was requeued to the one that repeats it.
create index concurrently if not exists occurrence_requeue on occurrence (requeue_of) where requeue_of is not null;

-- Many may end in one transaction, at one time: the id tells where among them a page ends.
create index concurrently if not exists occurrence_ended on occurrence (finished_at, id) where finished_at is not null;
drop index concurrently if exists occurrence_finished;

-- Jobs declared in code, outcomes that a handler chooses (skip, snooze), and checkpoints.

-- The declaration in force, as a digest of the job's name and definition; null for a job that was never declared in code. Those that were in
-- force before are remembered, the latest last, so that workers of an older release are told from those of a newer one.
alter table job add column declaration text;
alter table job add column former_declarations text[] not null default '{}';

-- Digests of what this incarnation declares: while it lives, it stands for them.
alter table worker add column declarations text[] not null default '{}';

-- A handler may say that there is nothing to run after all.
insert into occurrence_transition (from_state, to_state) values ('running', 'skipped');

-- Attempts that were put off by their handler; they are not charged against the policy.
alter table occurrence add column snoozed_count integer not null default 0;
-- Not valid only in name: the rows there are have passed a stricter check, and looking at them all would hold everybody up.
alter table attempt drop constraint attempt_state_check;
alter table attempt add constraint attempt_state_check
    check (state in ('failed', 'timed_out', 'lost', 'released', 'snoozed')) not valid;

-- What the latest attempt that said so had done already. Attempt and number guard against late and repeated events.
alter table occurrence add column checkpoint jsonb;
alter table occurrence add column checkpoint_attempt integer;
alter table occurrence add column checkpoint_seq integer;

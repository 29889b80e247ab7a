-- The latest time that a holder of the term saw on the clock of Postgres: later than now tells that the clock was set back.
alter table dispatcher_finding add column clock_at timestamptz;

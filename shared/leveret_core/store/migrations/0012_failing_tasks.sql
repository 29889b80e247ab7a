-- The tasks of the dispatcher that do not do their work, as the holder of the term last saw it, for who cannot ask that process itself.
alter table dispatcher_finding add column failing jsonb not null default '[]', add column failing_at timestamptz;

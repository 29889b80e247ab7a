-- A run that somebody planned for later. A migration of its own: Postgres lets nobody use a new value before its commit.
alter type occurrence_state add value 'scheduled' before 'waiting';

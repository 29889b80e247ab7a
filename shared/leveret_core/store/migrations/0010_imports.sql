-- Where an imported job comes from: the name of its source, what tells its entry there, and the values that the last import gave it.
-- All null for a job that was not imported.
alter table job add column import_source text;
alter table job add column import_key text;
alter table job add column imported jsonb;

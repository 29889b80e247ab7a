-- no transaction
create index concurrently if not exists job_import on job (import_source, id) where import_source is not null;

-- $1 job id, $2 source, $3 key of the entry, $4 the values that the import gave the job
update job set import_source = $2, import_key = $3, imported = $4::jsonb where id = $1

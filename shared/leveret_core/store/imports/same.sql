-- A job of no import or code that is the same as an entry, as an import left it that did not remember its source yet.
-- $1 type, $2 payload, $3 trigger
select id from job
where deleted_at is null and import_source is null and declaration is null
  and type = $1 and payload = $2::jsonb and trigger = $3::jsonb
order by id
limit 1
for no key update skip locked

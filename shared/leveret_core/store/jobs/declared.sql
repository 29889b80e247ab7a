-- The declarations in force. $1 names
select name, declaration from job where deleted_at is null and declaration is not null and name = any($1::text[])

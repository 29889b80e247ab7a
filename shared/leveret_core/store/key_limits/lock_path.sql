-- The path of a type's limit by key, which does not change until this transaction ends. No row: there is none any more. $1 type
select key from rate_limit_by_key where type = $1 for share

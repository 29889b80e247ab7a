-- What decides whether this server can be used.
select current_setting('server_version') as version,
    current_setting('server_version_num')::int as version_number,
    pg_is_in_recovery() as standby,
    current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int as connections,
    current_setting('synchronous_commit') as synchronous_commit,
    current_setting('fsync') as fsync,
    current_schema() as schema,
    coalesce(has_schema_privilege(current_schema(), 'create'), false) as may_create

-- Workers that live, and those that went within the last hour, without the parts of their handlers that may be large: a list of many
-- workers stays a list. $1 how many
select id, name, host, pid, sdk, state, concurrency, running,
       (select coalesce(jsonb_agg(h - 'schema' - 'doc' order by n), '[]') from jsonb_array_elements(handlers) with ordinality as u (h, n))::text
           as handlers,
       started_at, heartbeat_at, stopped_at
from worker
where stopped_at is null or stopped_at > now() - interval '1 hour'
order by stopped_at desc nulls first, started_at desc
limit $1

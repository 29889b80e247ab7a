-- Tasks of the dispatcher that did not do their work when the holder of the term last told, and since when it tells so.
select f.name, f.error, d.failing_at as since
from dispatcher_finding d
cross join jsonb_to_recordset(d.failing) as f (name text, error text)
where d.name = 'dispatcher'
order by f.name

-- Rate limit queues that stand still are looked at again at once. $1 types, $2 keys
insert into rate_bucket as b (type, key, tokens, filled_at, ready_at)
select s.type, s.key, l.count, now(), now()
from unnest($1::text[], $2::text[]) as s (type, key)
join rate_limit_by_key l on l.type = s.type
order by s.type, s.key
on conflict (type, key) do update set ready_at = coalesce(b.ready_at, excluded.ready_at)

-- No row: it is as it was. $1 type, $2 path, $3 count, $4 per
insert into rate_limit_by_key as l (type, key, count, per) values ($1, $2, $3, $4)
on conflict (type) do update set key = excluded.key, count = excluded.count, per = excluded.per
where (l.key, l.count, l.per) is distinct from (excluded.key, excluded.count, excluded.per)
returning type

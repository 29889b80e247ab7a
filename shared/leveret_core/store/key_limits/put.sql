-- $1 type, $2 path, $3 count, $4 per
insert into rate_limit_by_key (type, key, count, per) values ($1, $2, $3, $4)
on conflict (type) do update set key = excluded.key, count = excluded.count, per = excluded.per

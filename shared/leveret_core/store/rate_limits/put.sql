-- A new limit begins with a full bucket; a changed one keeps the tokens it had, as far as they fit. No row: it is as it was.
-- $1 type, $2 count, $3 per
insert into rate_limit as r (type, count, per, tokens) values ($1, $2::integer, $3, $2::integer)
on conflict (type) do update set
    count = excluded.count,
    per = excluded.per,
    tokens = least(
        excluded.count,
        r.tokens + greatest(0, extract(epoch from clock_timestamp() - r.filled_at)::double precision) * r.count / r.per
    ),
    filled_at = clock_timestamp()
where (r.count, r.per) is distinct from (excluded.count, excluded.per)
returning type

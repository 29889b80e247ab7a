-- Another rate holds from now on: every rate limit queue is looked at anew, with the tokens its value has had
-- until now. $1 type, $2 count and $3 per until now
update rate_bucket
set tokens = least($2::integer, tokens + greatest(0, extract(epoch from clock_timestamp() - filled_at)::double precision) * $2::integer / $3),
    filled_at = clock_timestamp(), ready_at = case when ready_at is not null then clock_timestamp() end
where type = $1

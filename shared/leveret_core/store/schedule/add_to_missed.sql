-- More ticks of the outage that these records stand for. $1 ids, $2 how many ticks, $3 the last of them, $4 why
update occurrence o
set missed_count = o.missed_count + m.count, missed_until = m.until, reason = o.missed_count + m.count || ' ticks ' || m.words
from unnest($1::bigint[], $2::integer[], $3::timestamptz[], $4::text[]) as m (id, count, until, words)
where o.id = m.id and o.state = 'missed'
returning o.job_id

-- Which of these ticks have an occurrence, and whether that one only records that ticks were missed. $1 job ids, $2 ticks
select o.job_id, o.scheduled_for, o.state::text = 'missed' as missed
from unnest($1::bigint[], $2::timestamptz[]) as t (job_id, tick)
join occurrence o on o.job_id = t.job_id and o.scheduled_for = t.tick

-- Records of ticks that were missed by a clock that was ahead leave their time to the tick, which is still to come. $1 job ids, $2 ticks
update occurrence o
set scheduled_for = o.scheduled_for + interval '1 microsecond', reason = o.reason || ' (by a clock that was ahead, and was set back)'
from unnest($1::bigint[], $2::timestamptz[]) as t (job_id, tick)
where o.job_id = t.job_id and o.scheduled_for = t.tick and o.state = 'missed'

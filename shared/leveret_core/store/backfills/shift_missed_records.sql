-- Records of fire times that did not run make room for the run, by the smallest step there is; they stay what they are. $1 job id,
-- $2 fire times
update occurrence o set scheduled_for = o.scheduled_for + interval '1 microsecond'
where o.job_id = $1 and o.scheduled_for = any($2::timestamptz[]) and o.state in ('missed', 'skipped') and o.attempt = 0
  and not exists (
      select from occurrence n where n.job_id = o.job_id and n.scheduled_for = o.scheduled_for + interval '1 microsecond'
  )
returning o.scheduled_for - interval '1 microsecond' as scheduled_for

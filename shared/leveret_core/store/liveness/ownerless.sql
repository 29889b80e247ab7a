-- liveness/ownerless
-- What is not over and has nothing that is responsible for it, as far as times and workers tell: no lease of a live worker, no due time
-- to come. Each part looks through one partial index and stops at $3; none of them depends on how long history or a backlog is.
-- $1 seconds that what is due may be late, $2 seconds that the reaper may take, $3 how many of each kind, $4 seconds that what began may take
-- to be named by its worker
(
    select case when w.id is null or w.stopped_at is not null then 'worker' when w.lease_until < now() then 'lease' else 'timeout' end
               as kind,
           o.id, o.job_id, o.state::text, o.attempt, o.claim_token,
           case when w.id is null then 'nothing is known of its worker'
                when w.stopped_at is not null then 'its worker has ended'
                when w.lease_until < now() then 'the lease of its worker is over, and it was not declared lost'
                else 'its timeout is over, and its worker does not say that it stopped' end as why
    from occurrence o
    left join worker w on w.id = o.worker_id
    where o.state in ('running', 'cancelling') and (
        w.id is null or w.stopped_at is not null or w.lease_until < now() - $2 * interval '1 second'
        or (
            o.started_at + (o.timeout + $2) * interval '1 second' < now()
            and w.heartbeat_at >= o.started_at + o.timeout * interval '1 second'
        )
    )
    limit $3
)
union all
(
    select 'retry', id, job_id, state::text, attempt, claim_token,
           case when retry_at is null then 'no time is set for its retry' else 'the time of its retry is over' end
    from occurrence
    where state = 'retrying' and (retry_at is null or retry_at < now() - $1 * interval '1 second')
    limit $3
)
union all
(
    select 'due', id, job_id, state::text, attempt, claim_token, 'the time it was planned for is over'
    from occurrence
    where state = 'scheduled' and scheduled_for < now() - $1 * interval '1 second'
    order by scheduled_for, id
    limit $3
)
union all
(
    select 'ring', id, job_id, state::text, attempt, claim_token, 'no worker answered its dispatch message, and it was not published again in time'
    from occurrence
    where state = 'pending' and ring_at is not null and ring_at < now() - $1 * interval '1 second'
    order by ring_at
    limit $3
)
union all
(
    -- The longest wait for an answer is an hour; see take_overdue.sql. What jitter defers has not been published at all.
    select 'far', id, job_id, state::text, attempt, claim_token, 'its dispatch message would be published again later than any dispatch message is'
    from occurrence
    where state = 'pending' and ring_at is not null and ring_at > now() + interval '1 hour' + $1 * interval '1 second'
      and ring_at < 'infinity' and rings > 0
    limit $3
)
union all
(
    -- A backfill whose range reaches beyond the schedule's next fire time waits for the schedule.
    select 'backfill', b.id, b.job_id, b.state, 0, null::uuid, 'it creates nothing, and nothing of it is live'
    from backfill b
    join job j on j.id = b.job_id
    where b.state = 'running' and b.created_at < now() - $1 * interval '1 second'
      and (j.deleted_at is not null or j.next_fire_at is null or j.next_fire_at > b.end_at)
      and not exists (
          select from occurrence o
          where o.backfill_id = b.id and o.state in ('waiting', 'pending', 'running', 'cancelling', 'retrying')
      )
    limit $3
)
union all
(
    -- A lease alone owns nothing: the worker has to name what it runs.
    select 'unnamed', o.id, o.job_id, o.state::text, o.attempt, o.claim_token,
           case when w.holding is null then 'its worker lives and does not say what it runs'
                else 'its worker lives and does not name it, and no end of it arrived' end
    from worker w
    join occurrence o on o.worker_id = w.id and o.state in ('running', 'cancelling')
    where w.stopped_at is null and o.started_at < w.heartbeat_at - $4 * interval '1 second'
      and (w.holding is null or o.id <> all(w.holding))
    order by o.id
    limit $3
)

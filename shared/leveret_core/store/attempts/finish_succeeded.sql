-- One look-up by primary key each; see claim.sql for `state::text`. A success ends the row of failures of its job, whose lock is held then; a
-- success of a job that had no failures when the jobs were locked leaves it alone. Backfills say nothing about their jobs.
-- `freed`: it gave back a slot; `wanted`: another one waits in its queue, which is certain where the job is locked; asked for by its order, so
-- that the planner takes the index of queues, and not that of all who wait.
-- $1 ids, $2 attempts, $3 tokens, $4 seqs, $5 seconds, $6 results (JSON text), $7 ids of the jobs that are locked
with done as (
    update occurrence o
    set state = 'succeeded', seq = e.seq, result = e.result::jsonb, slot = -o.slot,
        finished_at = greatest(o.started_at, least(now(), o.started_at + e.duration * interval '1 second'))
    from unnest($1::bigint[], $2::integer[], $3::uuid[], $4::integer[], $5::double precision[], $6::text[])
        as e (id, attempt, token, seq, duration, result)
    where o.id = e.id and o.attempt = e.attempt and o.claim_token = e.token and o.state::text in ('running', 'cancelling')
    returning o.id, o.job_id, o.backfill_id, o.concurrency_key as key, o.slot < 0 as freed
),
recovered as (
    update job set failures = 0
    where id = any($7::bigint[]) and failures > 0 and id in (select job_id from done where backfill_id is null)
    returning id
)
select d.id, d.job_id, d.backfill_id, d.key, d.freed, r.id is not null as recovered, (
    select w.id from occurrence w
    where w.job_id = d.job_id and w.concurrency_key = d.key and w.state = 'waiting'
    order by w.scheduled_for, w.id limit 1
) is not null as wanted
from done d
left join recovered r on r.id = d.job_id

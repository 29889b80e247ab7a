"""What a replica of the release before, in which slots were rows of a table, asks of Postgres about them."""

from __future__ import annotations

import uuid
from typing import TypeAlias

import asyncpg

from leveret_core.messages import Answer

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

TAKE = """
insert into slot (job_id, key, n, occurrence_id) select * from unnest($1::bigint[], $2::text[], $3::integer[], $4::bigint[])
"""
FREE = """
delete from slot where occurrence_id = any($1::bigint[]) returning job_id, key
"""
ADMIT_NEXT = """
with room as (
    select l.job_id, l.key, coalesce(b.max_concurrent, j.max_concurrent) as max_concurrent,
           coalesce(b.max_concurrent, j.max_concurrent)
               - (select count(*) from slot s where s.job_id = l.job_id and s.key = l.key) as places
    from (select distinct * from unnest($1::bigint[], $2::text[]) as u (job_id, key)) l
    join job j on j.id = l.job_id
    left join backfill b on b.job_id = l.job_id and 'backfill:' || b.id = l.key
),
head as (
    select r.job_id, r.key, h.id, row_number() over (partition by r.job_id, r.key order by h.scheduled_for, h.id) as place
    from room r
    cross join lateral (
        select o.id, o.scheduled_for from occurrence o
        where o.job_id = r.job_id and o.concurrency_key = r.key and o.state = 'waiting'
        order by o.scheduled_for, o.id
        limit greatest(r.places, 0)
    ) h
),
free as (
    select r.job_id, r.key, g.n, row_number() over (partition by r.job_id, r.key order by g.n) as place
    from room r
    cross join lateral generate_series(1, r.max_concurrent) as g (n)
    where (r.job_id, r.key) in (select job_id, key from head)
      and not exists (select from slot s where s.job_id = r.job_id and s.key = r.key and s.n = g.n)
),
taken as (
    insert into slot (job_id, key, n, occurrence_id)
    select job_id, key, free.n, head.id from free join head using (job_id, key, place)
    returning occurrence_id
)
update occurrence o set state = 'pending', reason = null, ring_at = null
from taken where o.id = taken.occurrence_id and o.state = 'waiting'
returning o.id, o.job_id
"""
OF_JOBS = """
select s.job_id, s.key, s.n, s.occurrence_id from slot s
join unnest($1::bigint[], $2::text[]) as l (job_id, key) on s.job_id = l.job_id and s.key = l.key
"""
LOCK_JOBS = """
select j.id from job j
where j.id in (
    select s.job_id from slot s where s.occurrence_id = any($1::bigint[])
    union all
    select o.job_id from occurrence o where o.id = any($2::bigint[])
)
order by j.id
for no key update
"""
REPAIR = """
delete from slot s
where not exists (
    select from occurrence o
    where o.id = s.occurrence_id and o.state::text in ('pending', 'running', 'cancelling', 'retrying')
)
returning s.occurrence_id, s.job_id, s.key
"""
REKEY = """
with live as (
    select o.id, key_of(j.concurrency_key, o.payload) as key
    from job j
    join occurrence o on o.job_id = j.id
    where j.id = $1 and o.state in ('waiting', 'pending', 'running', 'cancelling', 'retrying')
      and o.backfill_id is null
    order by o.id
    for update of o
),
dropped as (
    delete from slot where job_id = $1 and key not like 'backfill:%'
)
update occurrence o set concurrency_key = live.key from live where o.id = live.id and o.concurrency_key <> live.key
"""
GIVE_SLOTS = """
with live as (
    select id, concurrency_key from occurrence
    where job_id = $1 and state in ('pending', 'running', 'cancelling', 'retrying') and backfill_id is null
      and id not in (select occurrence_id from slot where job_id = $1)
    order by id
    for update
)
insert into slot (job_id, key, n, occurrence_id)
select $1, concurrency_key,
       coalesce((select max(s.n) from slot s where s.job_id = $1 and s.key = concurrency_key), 0)
           + row_number() over (partition by concurrency_key order by id),
       id
from live
"""
CANCEL_UNSTARTED = """
with unstarted as (
    select id from occurrence
    where job_id = $1 and state in ('scheduled', 'waiting', 'pending', 'retrying')
    order by id
    for update
),
cancelled as (
    update occurrence o
    set state = 'cancelled', reason = $2, retry_at = null, finished_at = clock_timestamp()
    from unstarted u
    where o.id = u.id and o.state in ('scheduled', 'waiting', 'pending', 'retrying')
    returning o.id
),
freed as (
    delete from slot s using cancelled c where s.occurrence_id = c.id
)
select count(*) from cancelled
"""
FINISH_SUCCEEDED = """
update occurrence o
set state = 'succeeded', seq = e.seq, result = e.result::jsonb,
    finished_at = greatest(o.started_at, least(now(), o.started_at + e.duration * interval '1 second'))
from unnest($1::bigint[], $2::integer[], $3::uuid[], $4::integer[], $5::double precision[], $6::text[])
    as e (id, attempt, token, seq, duration, result)
where o.id = e.id and o.attempt = e.attempt and o.claim_token = e.token and o.state::text in ('running', 'cancelling')
returning o.id, o.job_id, o.backfill_id
"""


async def create(connection: Connection, job: int, slot: int | None, state: str = "pending", key: str = "") -> int:
    """An occurrence and the slot that it takes."""
    occurrence: int = await connection.fetchval(
        """insert into occurrence (job_id, job_name, job_version, type, payload, origin, scheduled_for, state, timeout, retry,
                                   concurrency_key, priority, rings)
           select id, name, version, type, payload, 'manual', clock_timestamp(), $2::text::occurrence_state, timeout, retry,
                  $3, priority, 0
           from job where id = $1 returning id""",
        job,
        state,
        key,
    )
    if slot is not None:
        await connection.execute(TAKE, [job], [key], [slot], [occurrence])
    return occurrence


async def finish(connection: Connection, answer: Answer) -> list[int]:
    """The end of an attempt that succeeded; returns the ids of those that take the place."""
    async with connection.transaction():
        await connection.fetch(LOCK_JOBS, [answer.occurrence], [])
        token = uuid.UUID(answer.token)
        rows = await connection.fetch(FINISH_SUCCEEDED, [answer.occurrence], [answer.attempt], [token], [9], [0.0], ["null"])
        freed = await connection.fetch(FREE, [row["id"] for row in rows])
        queues = sorted({(row["job_id"], row["key"]) for row in freed})
        if not queues:
            return []
        jobs, keys = [job for job, _ in queues], [key for _, key in queues]
        return [row["id"] for row in await connection.fetch(ADMIT_NEXT, jobs, keys)]


async def slots_of(connection: Connection, job: int, key: str = "") -> dict[int, int]:
    """Who holds the slots of a queue: slot, id."""
    return {row["n"]: row["occurrence_id"] for row in await connection.fetch(OF_JOBS, [job], [key])}

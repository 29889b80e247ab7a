-- Runs planned for later: rows that the dispatcher admits when they are due, and a function that plans one as a part of the
-- caller's own transaction.

insert into occurrence_transition (from_state, to_state) values
    ('scheduled', 'pending'), ('scheduled', 'waiting'), ('scheduled', 'skipped'), ('scheduled', 'cancelled');

-- Nobody sees the run before the caller's transaction commits, and a rollback leaves nothing of it. Nothing of the job is locked that
-- anybody waits for, so that a caller's long transaction holds up nobody.
create function leveret_trigger(
    job_name text,
    payload jsonb default null,
    at timestamptz default null,
    priority integer default null,
    idempotency_key text default null
) returns bigint
language plpgsql volatile security definer as $$
#variable_conflict use_column
declare
    payload_limit constant integer := coalesce(nullif(current_setting('leveret.payload_limit', true), '')::integer, 262144);
    wanted_job bigint;
    earliest timestamptz;
    due timestamptz;
    made bigint;
begin
    if leveret_trigger.payload is not null then
        if jsonb_typeof(leveret_trigger.payload) <> 'object' then
            raise exception 'the payload must be a JSON object, not %', jsonb_typeof(leveret_trigger.payload)
                using errcode = 'invalid_parameter_value', hint = 'Build it with jsonb_build_object(''to'', address).';
        end if;
        if octet_length(leveret_trigger.payload::text) > payload_limit then
            raise exception 'the payload has % bytes of JSON; at most % are allowed',
                octet_length(leveret_trigger.payload::text), payload_limit
                using errcode = 'program_limit_exceeded', hint = 'Keep the data in a table, and put its key into the payload.';
        end if;
        if jsonb_path_exists(leveret_trigger.payload, 'strict $.**{64} ? (@.type() == "object" || @.type() == "array")') then
            raise exception 'the payload nests deeper than 64 levels' using errcode = 'invalid_parameter_value';
        end if;
        if jsonb_path_exists(leveret_trigger.payload, 'strict $.** ? (@ > 1e308 || @ < -1e308)') then
            raise exception 'the payload holds a number beyond 1e308' using errcode = 'invalid_parameter_value';
        end if;
    end if;
    if leveret_trigger.priority not between 0 and 9 then
        raise exception 'priority must be from 0 to 9, not %', leveret_trigger.priority using errcode = 'invalid_parameter_value';
    end if;
    if length(leveret_trigger.idempotency_key) not between 1 and 200 then
        raise exception 'idempotency_key must have from 1 to 200 characters, not %', length(leveret_trigger.idempotency_key)
            using errcode = 'invalid_parameter_value';
    end if;
    if leveret_trigger.at > clock_timestamp() + interval '10 years' then
        raise exception 'at is more than 10 years away: %', leveret_trigger.at using errcode = 'invalid_parameter_value';
    end if;

    select j.id into wanted_job from job j where j.name = leveret_trigger.job_name and j.deleted_at is null;
    if wanted_job is null then
        raise exception 'there is no job named %', coalesce(leveret_trigger.job_name, 'null')
            using errcode = 'undefined_object', hint = 'Make it first: leveret jobs create, or PUT /api/v1/jobs/NAME.';
    end if;

    earliest := greatest(leveret_trigger.at, clock_timestamp());
    for tries in 1 .. 1000 loop
        if leveret_trigger.idempotency_key is not null then
            select o.id into made from occurrence o
            where o.job_id = wanted_job and o.idempotency_key = leveret_trigger.idempotency_key;
            if made is not null then
                return made;
            end if;
        end if;
        due := earliest;
        if leveret_trigger.at is not null or tries > 1 then
            -- Others of the job stand at that instant, and some of them cannot be seen yet: a random step seldom meets those.
            select coalesce(max(o.scheduled_for), earliest) into due from occurrence o
            where o.job_id = wanted_job and o.scheduled_for >= earliest
              and o.scheduled_for < earliest + 4 ^ least(tries, 10) * interval '5 milliseconds';
            due := due + (1 + floor(random() * 100 * tries)) * interval '1 microsecond';
        end if;
        if date_part('microseconds', due)::bigint % 1000000 = 0 then
            -- On the full second stand ticks.
            due := due + interval '1 microsecond';
        end if;
        insert into occurrence (
            job_id, job_name, job_version, type, payload, origin, scheduled_for, idempotency_key, state, timeout, retry,
            concurrency_key, priority
        )
        select j.id, j.name, j.version, j.type, coalesce(leveret_trigger.payload, j.payload), 'manual', due,
               leveret_trigger.idempotency_key, 'scheduled', j.timeout, j.retry,
               key_of(j.concurrency_key, coalesce(leveret_trigger.payload, j.payload)),
               coalesce(leveret_trigger.priority, j.priority)
        from job j
        where j.id = wanted_job
        on conflict do nothing
        returning id into made;
        if made is not null then
            insert into audit (actor, action, job_id, occurrence_id, detail)
            values (
                'sql:' || session_user, 'trigger', wanted_job, made,
                jsonb_build_object('idempotency_key', leveret_trigger.idempotency_key, 'at', leveret_trigger.at)
            );
            perform pg_notify('leveret_scheduled', '');
            return made;
        end if;
    end loop;
    raise exception 'no free instant was found for job % at %', leveret_trigger.job_name, earliest
        using errcode = 'lock_not_available', hint = 'Plan some of its runs for another second.';
end $$;

-- It acts with its owner's rights, in the schema that it was made in whatever the caller's path says; callers need a grant.
do $$
begin
    execute format(
        'alter function leveret_trigger(text, jsonb, timestamptz, integer, text) set search_path = pg_catalog, %I, pg_temp',
        current_schema()
    );
end $$;
revoke execute on function leveret_trigger(text, jsonb, timestamptz, integer, text) from public;

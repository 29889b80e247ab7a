-- Who holds which slot, whichever release gave it. Replicas of the release before write to `slot` as if it were the table, and take and
-- free what this release gave, as this one does with what they gave. Once they are gone, the table and the triggers can go.
lock table slot, occurrence in access exclusive mode;
alter table slot rename to slot_of_last_release;

create view slot as
    select job_id, concurrency_key as key, slot as n, id as occurrence_id from occurrence where slot > 0
    union all
    select job_id, key, n, occurrence_id from slot_of_last_release;

create function take_slot_of_last_release() returns trigger language plpgsql as $$
begin
    insert into slot_of_last_release (job_id, key, n, occurrence_id) values (new.job_id, new.key, new.n, new.occurrence_id);
    return new;
end $$;
create trigger slot_taken instead of insert on slot for each row execute function take_slot_of_last_release();

create function free_slot_of_last_release() returns trigger language plpgsql as $$
begin
    delete from slot_of_last_release where occurrence_id = old.occurrence_id;
    if not found then
        update occurrence set slot = -slot where id = old.occurrence_id and slot > 0;
    end if;
    return old;
end $$;
create trigger slot_freed instead of delete on slot for each row execute function free_slot_of_last_release();

-- As before, but afterwards: a trigger before the update locks each row first, which is written and logged apart.
drop trigger occurrence_state_guard on occurrence;
create trigger occurrence_state_guard after update of state on occurrence
    for each row
    when (
        old.state is distinct from new.state
        and not (old.state = 'pending' and new.state = 'running')
        and not (old.state = 'running' and new.state = 'succeeded')
    )
    execute function refuse_transition();

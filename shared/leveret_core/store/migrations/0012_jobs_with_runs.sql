-- Whether the job of an occurrence exists is certain where occurrences are made, which is always from the row of the job; a foreign key
-- looked it up once more for each. That no job with runs is deleted is looked at where that would happen: product code never does.
lock table job, occurrence in access exclusive mode;
alter table occurrence drop constraint occurrence_job_id_fkey;

create function refuse_delete_of_job_with_runs() returns trigger language plpgsql as $$
begin
    if exists (select from occurrence where job_id = old.id) then
        raise exception 'job % has occurrences', old.id
            using errcode = 'foreign_key_violation', hint = 'Delete it over the API, or its occurrences first.';
    end if;
    return old;
end $$;
create trigger job_runs_guard before delete on job for each row execute function refuse_delete_of_job_with_runs();

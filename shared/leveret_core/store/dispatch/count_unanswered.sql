-- How many occurrences of each type were published and not claimed; what jitter defers was not published yet. It costs as much as is
-- out, which the publish window bounds: for the beginning of a term, and for now and then.
select type, count(*) as out from occurrence
where state = 'pending' and ring_at is not null and ring_at < 'infinity' and rings > 0
group by type

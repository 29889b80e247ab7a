-- How many ingestors have read all that they were given before $1.
select count(*) from ingestor where current_at > $1

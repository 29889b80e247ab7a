-- The job types whose starts are limited.
select type from rate_limit

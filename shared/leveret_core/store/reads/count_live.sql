-- How many occurrences are in each state that is not final.
select state, count(*) as count from occurrence
where state in ('scheduled', 'waiting', 'pending', 'running', 'cancelling', 'retrying') and state <> 'succeeded'
group by state

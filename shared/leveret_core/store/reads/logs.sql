-- Log records of an occurrence after (attempt $2, seq $3), oldest first. $1 occurrence, $4 how many
select attempt, seq, at, level, message, fields from occurrence_log
where occurrence_id = $1 and (attempt, seq) > ($2, $3)
order by attempt, seq
limit $4

-- $1 type, $2 tokens left, $3 the moment at which there were so many
update rate_limit set tokens = $2, filled_at = $3 where type = $1

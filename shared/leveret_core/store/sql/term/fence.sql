-- First statement of every transaction of a dispatcher: shares the row, so that no successor begins before the commit.
-- $1 name, $2 epoch. No row: another term has begun.
select 1 from term where name = $1 and epoch = $2 for share

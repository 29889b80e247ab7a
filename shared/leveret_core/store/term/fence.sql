-- First statement of every transaction of a dispatcher: shares the row's key, of which the epoch is a part (see the index
-- term_fence), so that no successor begins before the commit. Renewals of the lease change no key and need not wait.
-- $1 name, $2 epoch. No row: another term has begun.
select 1 from term where name = $1 and epoch = $2 for key share

-- The database's clock now, not at the transaction's begin: waiting for a lock may have taken a while.
select clock_timestamp()

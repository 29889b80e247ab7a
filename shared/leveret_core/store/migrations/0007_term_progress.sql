-- A renewal of the lease must not wait for the transactions of its own dispatcher, which share a lock on the same row. With the
-- epoch in a unique index only the statement that raises it locks the row for good; every other update leaves those who share
-- its key alone.
set local lock_timeout = '5s';
create unique index term_fence on term (name, epoch);

-- When the holder last had done what was to be done; written at each renewal. Null until the first term.
alter table term add column progress_at timestamptz;

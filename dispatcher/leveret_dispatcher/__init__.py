"""The control plane: who dispatches, what is due, what goes to the broker, who may run it, and how it ended.

Leadership, written down before the code:

- A candidate wins the Redis lock (`leadership.lock`) and then raises the epoch on the fence row in Postgres; that is its
  *term*.
- Every transaction of a term begins by sharing a lock on the fence row where the epoch is its own (`leadership.term`).
  A successor raises the epoch, and from then on the old holder's transactions roll back. The Redis lock only decides who does
  the work.
- The holder trusts its term until *start of the last good renewal* + TTL - margin, on CLOCK_BOOTTIME. An unknown answer renews
  nothing.
- While Redis is away the holder's lease on the fence row, which it always renews too, keeps the term; candidates may take over
  only when that lease has expired.
- SIGTERM resigns: the lock is deleted by compare-and-delete, and a hint wakes the next candidate at once.
"""

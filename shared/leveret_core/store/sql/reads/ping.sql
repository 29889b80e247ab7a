select 1 from term limit 1

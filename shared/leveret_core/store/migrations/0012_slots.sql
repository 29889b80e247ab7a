-- The slot that an occurrence holds stands in its own row, so that taking it and giving it back costs no row of its own: positive while
-- it is held, negative once it has been given back, null if there never was one.
alter table occurrence add column slot integer;

-- Ticks rewrite the rows of their jobs: room in the page of the old version keeps what is logged small.
alter table job set (fillfactor = 80);

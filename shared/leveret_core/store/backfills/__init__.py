"""Backfills: a job's fire times of the past, run because a user asked for them."""

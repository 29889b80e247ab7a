"""What users do to occurrences: trigger, cancel, requeue."""

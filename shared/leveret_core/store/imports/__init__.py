"""Jobs that come from a source outside, such as a crontab."""

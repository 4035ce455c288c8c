"""Anyone's table of runs as rows that a law is fitted to."""

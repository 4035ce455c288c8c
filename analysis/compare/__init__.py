"""Models compared on the same patients."""

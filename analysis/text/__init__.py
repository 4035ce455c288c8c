"""Numbers and results as text, HTML and plain JSON values."""

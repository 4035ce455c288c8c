"""A grid file becomes a checked ``Study``, or mistakes named by file, line and column."""

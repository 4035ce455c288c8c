"""A law fitted to runs, what was found, and whether to believe it."""

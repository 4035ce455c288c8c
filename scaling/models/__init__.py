"""Architectures, one per file, and the registry of families."""

"""The user's own data as ``dataset.json`` describes it."""

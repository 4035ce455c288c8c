"""Finished students and their teacher opened: what pictures of them are drawn from."""

"""Held-out loss, metrics and the linear probe."""

"""Figures of results; results know nothing of them."""

"""Weights on disk, and the parents that a training starts from."""

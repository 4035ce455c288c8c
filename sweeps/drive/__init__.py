"""Run what a plan has left, and say how it goes."""

"""Checkpoints that others released, made into weights that this project reads."""

"""A results folder as frames: what was planned, what ran, and which rows a law is made of."""

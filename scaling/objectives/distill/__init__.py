"""Distillation: how a student imitates a frozen teacher, one loss a file."""

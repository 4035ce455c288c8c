"""What to run and which model to choose."""

"""The training loop, its data, schedule, weights and trainer."""

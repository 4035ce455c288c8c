"""Many small robust fits at once: the problem, the solver, and the last digits of an optimum."""

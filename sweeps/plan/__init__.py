"""A checked grid becomes a plan: trainings, evaluations, what they cost, and what looks wrong."""

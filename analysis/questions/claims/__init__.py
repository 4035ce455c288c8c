"""Claims of S1, what we measured about each, and whether it holds here."""

"""The Bayes loss of a cohort: what a perfect model of the generator would still lose."""

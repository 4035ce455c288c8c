"""Virtual patients: a cardiac dipole through a lead field, with known labels and Bayes loss."""

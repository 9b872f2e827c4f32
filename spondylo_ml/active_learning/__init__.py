"""Which unlabelled films to label first."""

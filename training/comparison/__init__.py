"""Methods for rare labels side by side: the same cohorts, the same features, the same measures."""

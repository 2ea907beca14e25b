"""Scripts that make a model bundle from a cohort."""

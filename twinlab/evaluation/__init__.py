"""Stage evaluation: what a model is worth and what a protection costs, as findings with intervals."""

"""Stage twins: the personal model, its shared part, its forecasts and its what-if answers."""

"""What acts between a person and everybody else: a folder a technique, which meet only in `pipeline`."""

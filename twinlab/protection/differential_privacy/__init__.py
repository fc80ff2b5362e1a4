"""Differential privacy: noise on readings, on training and on answers, and what it costs in all."""

"""Attacks on what was released, and audits of what was promised about it."""

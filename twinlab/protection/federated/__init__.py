"""Federated learning: devices train, a server adds. Readings stay where they were measured."""

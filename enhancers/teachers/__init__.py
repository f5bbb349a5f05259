"""Scores of teachers for all users and items, computed from the training split or read from trained models."""

"""Interactions that look like noise count less."""

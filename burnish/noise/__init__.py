"""Interactions that never happened: kinds of noise, and how they are drawn."""

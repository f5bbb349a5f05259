"""Estimators of Shapley values, one a file, each with an explicit budget and a standard error a value."""

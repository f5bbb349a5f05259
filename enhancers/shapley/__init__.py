"""What an interaction is worth: games on interactions, estimators of Shapley values, values across folds."""

"""What a trained model is used for: recommend, explain, export, keyword profiles, values of interactions."""

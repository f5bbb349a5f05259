"""One run: train a model as RecBole's `run_recbole` does, keep it in a folder, read it back, go on with it."""

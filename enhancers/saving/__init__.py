"""What burnish added to a model, as files; and RecBole's own checkpoints."""

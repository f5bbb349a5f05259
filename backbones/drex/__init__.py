"""DReX: rating prediction and keyword reasons from reviews and ratings, through gated recurrent updates."""

"""`prior`: a popularity prior on a finished backbone's scores, its strength chosen on validation."""

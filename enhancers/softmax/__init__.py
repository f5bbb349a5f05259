"""`softmax`: a backbone's recommendation loss becomes a softmax over the catalogue."""

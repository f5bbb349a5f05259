"""PESI: ratings, and a sentence for each, from what ratings and reviews share and what is private to either."""

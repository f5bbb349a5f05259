"""`aggregate`: a hop over the interactions, added to the tables of a finished backbone (TAG-CF)."""

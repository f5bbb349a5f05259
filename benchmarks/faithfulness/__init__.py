"""Whether reasons are true: the score of a recommendation is asked again without what is said to be the reason."""

"""`compress`: the scores of teachers, mixed, become the best tables of the backbone's width, in closed form."""

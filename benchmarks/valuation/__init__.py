"""How well values of interactions find noise, which interactions they would drop, and how stable they are."""

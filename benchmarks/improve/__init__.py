"""`burnish improve`: floors, enhancers and their combinations within a budget of time, and one look at the test set."""

"""`paths`: a differentiable path model on a knowledge graph, trained with the backbone; its paths are the reasons."""

"""Review texts as tensors: cleaned words, and token embeddings that are computed once and kept on disk."""

"""Files that are there whole or not at all: tables, YAML, tensors."""

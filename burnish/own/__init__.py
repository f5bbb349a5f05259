"""Classes of one's own, named by where they are: `package.module:Class` and `path/to/file.py:Class`."""

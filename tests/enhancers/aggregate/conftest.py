"""The data set "tiny", for whole runs."""

from tiny_data import _own_folder, data_path, small, write_interactions

__all__ = ["_own_folder", "data_path", "small", "write_interactions"]

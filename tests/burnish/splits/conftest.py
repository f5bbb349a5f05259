"""The small data set "tiny", and an empty folder for each test."""

from tiny_data import _own_folder, data_path, plan_content, small, write_interactions

__all__ = ["_own_folder", "data_path", "plan_content", "small", "write_interactions"]

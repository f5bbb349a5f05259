"""The small data set "tiny", an empty folder for each test, and searches whose runs are made up."""

from made_search import made
from tiny_data import _own_folder, data_path, plan_content, small, write_interactions

__all__ = ["_own_folder", "data_path", "made", "plan_content", "small", "write_interactions"]

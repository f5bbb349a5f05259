"""A small world of known items, and a small data set."""

from __future__ import annotations

from known_world import small_world
from tiny_data import _own_folder, data_path, small, write_interactions

__all__ = ["_own_folder", "data_path", "small", "small_world", "write_interactions"]

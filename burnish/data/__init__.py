"""Data of your own: tables become a data set that RecBole and burnish read.

    card = burnish.data.from_file("ratings.csv", user="customer", item="sku", out="dataset/bookshop")
    card = burnish.data.from_frame(frame, user="customer", item="sku", out="dataset/bookshop")

docs/own-data.md shows the way from a CSV to a result; `burnish data csv` does the same in a shell.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .calls import from_file, from_frame
    from .card import DataCard

_HOME = {
    "DataCard": "burnish.data.card",
    "from_file": "burnish.data.calls",
    "from_frame": "burnish.data.calls",
}

__all__ = ["DataCard", "from_file", "from_frame"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'burnish.data' has no attribute {name!r}; it offers {', '.join(_HOME)}")
    return getattr(importlib.import_module(_HOME[name]), name)

"""Options that a model needs and nobody gave: found out from the model and the first lines of the data's files.

`table.py` is the list of them, `beside.py` what lies in a data set's folder, `settle.py` puts them into a config.
`burnish.plugin` does so for every config, and a config that RecBole takes as it is stays as it is.  What is given
always wins.
"""

from __future__ import annotations

from .settle import settle, settled_in, settled_lines, within_burnish

__all__ = ["settle", "settled_in", "settled_lines", "within_burnish"]

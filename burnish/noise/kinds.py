"""The kinds of noise: what may be asked for, and how each is told of.  `draw` draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

#: By name, what a report says of each (after "interactions were added that never happened, ...").
KINDS = {
    "uniform": "items drawn with equal chance",
    "popular": "items drawn by their popularity",
    "bots": "a few users given many items drawn with equal chance",
    "clickbait": "a few items drawn with equal chance, each given many users",
    "position": "items drawn by their place in a list of what is popular and new to the user",
}

if TYPE_CHECKING:
    Kind = str
else:
    Kind = Literal[tuple(KINDS)]

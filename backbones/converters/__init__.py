"""Published files of reviews and of graphs, turned into RecBole's atomic files.

`convert_amazon` (Amazon Reviews 2014, 2018 and 2023) and `convert_yelp` read a file twice and hold no texts in
memory; `convert_matlab` reads a graph.  docs/data.md describes what they write.
"""

from .convert import Options, Published, convert
from .escapes import escaped, unescaped
from .matlab import convert_matlab
from .published import convert_amazon, convert_yelp

__all__ = [
    "Options",
    "Published",
    "convert",
    "convert_amazon",
    "convert_matlab",
    "convert_yelp",
    "escaped",
    "unescaped",
]

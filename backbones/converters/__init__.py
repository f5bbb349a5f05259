"""Published files of reviews, turned into RecBole's atomic files and a file of texts.

`convert_amazon` (Amazon Reviews 2014, 2018 and 2023) and `convert_yelp` read a file twice and hold no texts in
memory; docs/data.md describes what they write.
"""

from .convert import Options, Published, convert
from .escapes import escaped, unescaped
from .published import convert_amazon, convert_yelp

__all__ = ["Options", "Published", "convert", "convert_amazon", "convert_yelp", "escaped", "unescaped"]

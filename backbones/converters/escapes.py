r"""Backslash escapes for texts in tab-separated files: \\, \t, \n, \r and \0, nothing else.

A column whose name ends in `:escaped` holds such texts, so that a line is a row and a tab ends a field, whatever
the texts contain.  Quotes mean nothing.
"""

from __future__ import annotations

import re

_ESCAPES = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r", "\0": r"\0"}
_PLAIN = {escape: letter for letter, escape in _ESCAPES.items()}
_TABLE = str.maketrans(_ESCAPES)
_ESCAPE = re.compile(r"\\[\\tnr0]")


def escaped(text: str) -> str:
    """The text without tabs, line ends and NULs; `unescaped` gives it back exactly."""
    return text.translate(_TABLE)


def unescaped(text: str) -> str:
    """The inverse of `escaped`.  A backslash before any other letter stays as it is."""
    return _ESCAPE.sub(lambda match: _PLAIN[match.group()], text) if "\\" in text else text

"""Code blocks of the pages, to be run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```|^(#+) (.+?) *$", re.MULTILINE | re.DOTALL)


def blocks(page: str, section: str, language: str) -> list[str]:
    """The code blocks of a language under one heading of a page, up to the next heading of its rank or above."""
    found: list[str] = []
    rank = 0
    for kind, code, marks, title in _FENCED.findall((DOCS / page).read_text(encoding="utf-8")):
        if title == section:
            rank = len(marks)
        elif title and len(marks) <= rank:
            return found
        elif rank and code and kind == language:
            found.append(code)
    assert rank, f"{page} has no section {section!r}"
    return found

"""Reading JSON that somebody else may have written: nothing in it is too deep to be worked with."""

from __future__ import annotations

import json
from typing import Any

#: Levels of lists and mappings within each other; whatever walks through values calls itself once or twice a level.
DEEPEST = 100


def parse_json(text: str | bytes) -> Any:
    """What a piece of JSON says.  Raises `ValueError` for what is not JSON, or nested more than `DEEPEST` deep."""
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("its brackets are nested without end") from error
    if isinstance(text, str):
        brackets = text.count("[") + text.count("{")
    else:
        brackets = text.count(b"[") + text.count(b"{")
    if brackets > DEEPEST and _is_deep(value):
        raise ValueError(f"its brackets are nested more than {DEEPEST} deep")
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            part
            for whole in level
            if isinstance(whole, list | dict)
            for part in (whole.values() if isinstance(whole, dict) else whole)
            if isinstance(part, list | dict)
        ]
        if not level:
            return False
    return True

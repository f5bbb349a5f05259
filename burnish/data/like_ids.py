"""Ids that are written otherwise and may be meant alike: leading zeros, blanks, case, a point behind a whole number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from burnish.checks import short
from burnish.errors import plain_id

from .table import TEXT

_SAID = "leading zeros, blanks, case or .0"


def told_alike(names: Sequence[str], side: str) -> list[str]:
    """What is to be said of ids with blanks around them, and of those that are like another one."""
    texts = pa.array(names, type=TEXT)
    said: list[str] = []
    trimmed = pc.utf8_trim_whitespace(texts)
    blank = pc.sum(pc.not_equal(trimmed, texts)).as_py() or 0
    if blank:
        example = names[pc.index(pc.not_equal(trimmed, texts), True).as_py()]
        said.append(f"ids of {side} with blanks around them, which are kept: {blank:,}, as {short(example)}")
    # Of a million ids hardly any two are alike; Arrow says so in the time that Python needs for some thousand.
    plain = pc.utf8_lower(pc.utf8_normalize(trimmed, form="NFKC"))
    for pattern, instead in ((r"\s+", " "), (r"^([0-9]+)\.0+$", r"\1"), (r"^0+([0-9])", r"\1")):
        plain = pc.replace_substring_regex(plain, pattern, instead)
    if pc.count_distinct(plain).as_py() == len(names):
        return said
    by_form: dict[str, list[str]] = {}
    for name in names:
        by_form.setdefault(plain_id(name), []).append(name)
    groups = [group for group in by_form.values() if len(group) > 1]
    if groups:
        one, other = groups[0][:2]
        said.append(
            f"{sum(map(len, groups)):,} {side} are like another one but for {_SAID}, as {short(one)} and "
            f"{short(other)}; they are kept apart: where one is meant, write it alike in the table"
        )
    return said


def alike(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Of each name that is like a known one but for how it is written, that one."""
    forms: dict[str, str] = {}
    for name in known:
        forms.setdefault(plain_id(name), name)
    return {name: forms[form] for name in names if (form := plain_id(name)) in forms}

"""Spoilt inputs train, or are refused in words that name the file or the option: never a bare error.

`python tests/support/mutants.py 2000` counts.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from mutants import Outcome, attempt


def outcomes(numbers: range, folder: Path) -> list[Outcome]:
    return [attempt(number, folder / str(number)) for number in numbers]


def shown(wrong: list[Outcome]) -> str:
    return "\n".join(f"{one.number} {one.ending}: {one.what[:200]}\n  {one.message[:300]}" for one in wrong)


def test_some(tmp_path: Path) -> None:
    ends = outcomes(range(60), tmp_path)
    wrong = [one for one in ends if one.ending not in ("trained", "refused")]
    assert not wrong, shown(wrong)
    assert len([one for one in ends if one.ending == "trained"]) > 5


@pytest.mark.slow
def test_many(tmp_path: Path) -> None:
    wrong = [one for one in outcomes(range(2000), tmp_path) if one.ending not in ("trained", "refused")]
    assert not wrong, shown(wrong)

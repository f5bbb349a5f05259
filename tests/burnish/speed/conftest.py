"""Small atomic files and RecBole objects for tests of speed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import burnish  # noqa: F401  (installs what is tested)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """The order of a sum depends on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def ratings(tmp_path) -> Path:
    """A tab-separated file of 300 lines with a token, a number and a text."""
    draw = random.Random(5)
    lines = ["user_id:token\tvalue:float\ttitle:token_seq"]
    for row in range(300):
        value = repr(draw.uniform(-1, 1) * 10 ** draw.randint(-12, 12)) if row % 7 else ""
        lines.append(f"{draw.randint(1, 40)}\t{value}\tdie Stadt {row} café")
    file = tmp_path / "ratings.inter"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file

"""Benchmarks silence the log of their process; in tests the next one gets it back."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _log_comes_back() -> Iterator[None]:
    level = logging.root.manager.disable
    yield
    logging.disable(level)

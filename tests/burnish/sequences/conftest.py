"""Small worlds in which histories are longer than the maximum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import burnish  # noqa: F401  (installs what is tested)
from burnish.enhancers.conformance.world import World, build_world


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("worlds")


@pytest.fixture
def world(folder: Path) -> Callable[..., World]:
    """`world(model, **options)`: the maximum length is 6, where training histories have 5 to 12 targets."""

    def build(model: str | type, **options: Any) -> World:
        return build_world(model, folder, options=options)

    return build


@pytest.fixture
def plain_dropout() -> dict[str, float]:
    """No dropout, whatever a model calls it."""
    names = ("hidden_dropout_prob", "attn_dropout_prob", "dropout_prob", "dropout_rate")
    return dict.fromkeys(names, 0.0)

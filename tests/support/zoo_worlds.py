"""Small worlds of every model for tests that compare models."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import torch

from burnish.enhancers.conformance.world import World, build_world
from burnish.randomness import forked_randomness


def build(model: str | type, folder: Path) -> World:
    """One model in its world; SGL with its sub-graphs, which it otherwise draws when it is trained."""
    torch.set_num_threads(1)
    with contextlib.redirect_stdout(io.StringIO()):
        made = build_world(model, folder)
    if type(made.model).__name__ == "SGL":
        with forked_randomness(1, torch.device("cpu")):
            made.model.graph_construction()
    return made


def batch_of(made: World) -> Any:
    """A training batch; of knowledge models one with triples too."""
    from recbole.utils import KGDataLoaderState

    if hasattr(made.train, "set_mode"):
        made.train.set_mode(KGDataLoaderState.RSKG)
    return made.batch()

"""Small trained models, each trained when it is first asked for."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

from burnish.enhancers.conformance.data import NAME, write_data, write_scores
from burnish.enhancers.conformance.presets import preset
from burnish.trained.open import open_trained
from burnish.training.train import train

LAST_OUT = {"eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"}}
RATIO = {"eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "user", "mode": "full"}}


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """A trained model by name and seed."""
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    write_scores(folder)
    known: dict[str, Any] = {"guided": {"scores": str(folder / "scores.tsv")}, "paths": {}}
    kept: dict[tuple[str, int, tuple[str, ...]], Any] = {}

    def model(name: str, seed: int = 1, enhancers: tuple[str, ...] = ()) -> Any:
        key = (name, seed, enhancers)
        if key not in kept:
            split = LAST_OUT if name in ("SASRec", "GRU4Rec") else RATIO
            options = {
                **preset(name),
                "epochs": 2,
                "data_path": str(folder),
                "threads": 1,
                "seed": seed,
                **split,
            }
            chosen = {one: known[one] for one in enhancers}
            with warnings.catch_warnings():  # of options of the preset that other models read
                warnings.simplefilter("ignore")
                kept[key] = open_trained(train(name, NAME, options=options, enhancers=chosen))
        return kept[key]

    return model

"""Batches of knowledge models hold triples beside interactions, sometimes more of them: places are of interactions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from recbole.data.interaction import Interaction

from burnish.enhancers.conformance.data import NAME, write_data
from burnish.enhancers.conformance.presets import preset
from burnish.enhancers.interactions import n_interactions
from burnish.training.train import train


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


def test_interactions_of_a_batch() -> None:
    batch = Interaction({"head_id": torch.arange(9), "user_id": torch.arange(4)})
    assert n_interactions(batch, "user_id") == 4
    assert n_interactions(Interaction({"user_id": torch.arange(4)}), "item_id") == 4
    assert n_interactions(batch, None) == 9


@pytest.mark.parametrize(
    "enhancers", [{"softmax": {"own_loss": 0.3}}, {"softmax": {}}, {"distil": {"teachers": {"itemknn": 1}}}]
)
@pytest.mark.parametrize("backbone", ["CKE", "KGIN", "MCCLK", "RippleNet"])
def test_a_last_batch_with_more_triples_than_interactions(
    data: Path, tmp_path: Path, backbone: str, enhancers: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Its recommendation loss is told from the graph's, which stays."""
    options = {**preset(backbone), "data_path": str(data), "checkpoint_dir": str(tmp_path), "threads": 1}
    result = train(backbone, NAME, options=options, enhancers=enhancers, keep_checkpoint=False)
    assert result.n_epochs == 1
    assert "cannot be told from its other terms" not in caplog.text
    if enhancers == {"softmax": {}}:
        assert result.model.enhancers.replacement.rest is True

"""What models keep from an evaluation never outlives the weights that it was computed from.

An objective takes the place of the backbone's loss here, in which RecBole's models drop what they kept.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from burnish.enhancers.attach import enhance
from burnish.enhancers.conformance.world import World, build_world
from burnish.enhancers.kept_embeddings import clear_kept
from burnish.enhancers.softmax.softmax import Softmax
from burnish.training.weights import load_model, write_model

#: Every model of RecBole's that keeps anything of the kind, and ours.
KEEPING = ["LightGCN", "NGCF", "DGCF", "SGL", "NCL", "SpectralCF", "DMF", "KGAT", "KGIN", "MCCLK"]
KEEPING += ["NeighbourMeans"]


def scores(made: World) -> torch.Tensor:
    made.model.eval()
    # KGIN and MCCLK leave out edges at random, in evaluation too.
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    batch = next(iter(made.test))[0]
    with torch.no_grad():
        return made.model.full_sort_predict(batch).clone()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("worlds")


@pytest.mark.parametrize("backbone", KEEPING)
def test_scores_are_those_of_the_weights(backbone: str, folder: Path, tmp_path: Path) -> None:
    """After each epoch, as a fresh model scores with the same weights, whatever that one was asked before."""
    cls = enhance(backbone, Softmax())
    torch.set_num_threads(1)
    made, fresh = build_world(cls, folder), build_world(cls, folder)
    last = scores(fresh)
    for epoch in range(2):
        if epoch == 0 and backbone == "NCL":
            made.model.e_step()  # its trainer's own beginning
        made.trainer._train_epoch(made.train, epoch)
        found = scores(made)
        assert not torch.equal(found, last)
        write_model(tmp_path / "model.safetensors", made.model)
        load_model(tmp_path / "model.safetensors", fresh.model)
        last = scores(fresh)
        torch.testing.assert_close(last, found, rtol=0, atol=0)
        clear_kept(fresh.model)
        torch.testing.assert_close(scores(fresh), found, rtol=0, atol=0)

"""Models that train in stages (S3Rec, RaCT): the next stage starts from what the last one left, enhancers too."""

from __future__ import annotations

import logging

import pytest
import torch

from burnish import RVRec, enhance
from burnish.enhancers.conformance import build_world

STAGES = {"S3Rec": ("pretrain", "finetune"), "RaCT": ("actor_pretrain", "critic_pretrain", "finetune")}


@pytest.fixture(autouse=True)
def _quiet():
    """RaCT writes log messages that do not fit their arguments."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("backbone", STAGES)
def test_the_next_stage_starts_where_the_last_one_ended(backbone: str, tmp_path) -> None:
    torch.set_num_threads(1)
    model, checkpoint = enhance(backbone, RVRec()), ""
    before: dict[str, torch.Tensor] = {}
    for stage in STAGES[backbone]:
        options = {"train_stage": stage, "pre_model_path": checkpoint}
        world = build_world(model, tmp_path, options=options)
        state = dict(world.model.state_dict())
        for name, value in before.items():
            assert torch.equal(state[name], value), f"{name} at the start of {stage}"
        assert any(name.startswith("enhancers.attached.rvrec") for name in state)
        world.trainer.fit(world.train, world.valid, verbose=False, saved=False, show_progress=False)
        checkpoint = str(tmp_path / "saved" / f"{backbone}-conformance-1.pth")
        before = {name: value.clone() for name, value in world.model.state_dict().items()}
        moved = [
            name
            for name in before
            if name.startswith("enhancers.") and not torch.equal(before[name], state[name])
        ]
        assert moved, f"{stage} trained no enhancer"


def test_a_stage_without_enhancers_leaves_the_next_ones_enhancers_new(tmp_path) -> None:
    torch.set_num_threads(1)
    plain = build_world("S3Rec", tmp_path, options={"train_stage": "pretrain"})
    plain.trainer.fit(plain.train, plain.valid, verbose=False, saved=False, show_progress=False)
    options = {
        "train_stage": "finetune",
        "pre_model_path": str(tmp_path / "saved" / "S3Rec-conformance-1.pth"),
    }
    world = build_world(enhance("S3Rec", RVRec()), tmp_path, options=options)
    stored = world.model.enhancers.anatomy.tables[0].raw()
    assert torch.equal(stored, plain.model.item_embedding.weight[: len(stored)])
    assert torch.equal(world.model.item_embedding.weight, plain.model.item_embedding.weight)

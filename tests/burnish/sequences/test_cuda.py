"""Whole-sequence training on a GPU, where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from burnish import RVRec, enhance
from burnish.sequences.epochs import layout_for

BPR = {"loss_type": "BPR", "train_neg_sample_args": {"distribution": "uniform", "sample_num": 1}}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("backbone", ["SASRec", "GRU4Rec", "SASRecF", "GRU4RecF"])
@pytest.mark.parametrize("attached", [False, True])
@pytest.mark.parametrize("options", [{}, BPR, {"enable_amp": True}])
def test_on_a_gpu(world, backbone, attached, options):
    built = world(
        enhance(backbone, RVRec()) if attached else backbone,
        sequence_training="whole",
        use_gpu=True,
        gpu_id="0",
        **options,
    )
    assert layout_for(built.trainer, built.train) is not None
    losses = [built.trainer._train_epoch(built.train, epoch) for epoch in range(3)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]

"""Every described backbone with every shipped enhancer, on the whole of ml-100k: train, test, checkpoint, reload.

Minutes long: `make conformance`.
"""

from __future__ import annotations

import math

import pytest
import torch

import burnish
from burnish.enhancers.attach import is_enhanced

GENERAL = ["BPR", "NeuMF", "LightGCN", "NGCF", "SGL"]
SEQUENTIAL = ["SASRec", "GRU4Rec", "BERT4Rec"]
CASES = [(backbone, {name: {}}) for backbone in GENERAL + SEQUENTIAL for name in ("rvrec", "euclid2d")]
CASES += [(backbone, {"rvrec": {"site": "output"}}) for backbone in ("LightGCN", "NGCF", "SGL")]
CASES += [
    ("BPR", {"rvrec": {"covariance": "full", "experimental": True, "sample": 32, "negatives": 8}}),
    ("BPR", {"rvrec": {"similarity": "distance"}}),
    ("BPR", {"rvrec": {}, "euclid2d": {}}),
    ("LightGCN", {"shapley": {"warmup_epochs": 0, "propagate": True}}),
]
# By default shapley's weights are 1 for three epochs, and here is only one.
CASES += [(backbone, {"shapley": {"warmup_epochs": 0}}) for backbone in GENERAL + SEQUENTIAL]
FEW = {"attributes": ["humor", "pacing", "darkness"]}
CASES += [(backbone, {"guided": {}}) for backbone in GENERAL + SEQUENTIAL]
CASES += [(backbone, {"guided": {"base": "auto", **FEW}}) for backbone in ("BPR", "LightGCN", "SASRec")]
CASES += [
    ("BPR", {"guided": {"base": "auto", "control": "text", **FEW}}),
    ("BPR", {"rvrec": {}, "guided": FEW}),
]
SMALL = {
    "epochs": 1,
    "embedding_size": 16,
    "hidden_size": 16,
    "inner_size": 16,
    "n_layers": 1,
    "num_layers": 1,
    "n_heads": 2,
    "MAX_ITEM_LIST_LENGTH": 5,
    "eval_batch_size": 1_600_000,
    "threads": 1,
}

pytestmark = pytest.mark.conformance


@pytest.mark.parametrize(("backbone", "enhancers"), CASES, ids=lambda value: str(value))
def test_trains_tests_and_reloads(backbone, enhancers, tmp_path):
    from recbole.quick_start import load_data_and_model

    options = dict(SMALL, train_neg_sample_args=None) if backbone in SEQUENTIAL else dict(SMALL)
    result = burnish.run(
        backbone, "ml-100k", enhancers=enhancers, config=options, folder=tmp_path, show_progress=False
    )
    assert result.n_epochs == 1
    assert all(math.isfinite(value) for value in result.test_result.values())
    assert is_enhanced(result.model)
    _, loaded, _, _, _, test = load_data_and_model(str(result.checkpoint))
    batch = next(iter(test))[0]
    with torch.no_grad():
        if backbone == "NeuMF":  # it predicts pairs only
            batch.update(type(batch)({"item_id": torch.arange(1, len(batch) + 1)}))
            one, other = result.model.eval().predict(batch), loaded.eval().predict(batch)
        else:
            one, other = result.model.eval().full_sort_predict(batch), loaded.eval().full_sort_predict(batch)
    assert torch.equal(one, other)

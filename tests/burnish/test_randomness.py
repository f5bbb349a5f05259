"""Sums in a fixed order on a GPU: asked of torch inside, and as before afterwards."""

from __future__ import annotations

import pytest
import torch

from burnish.enhancers.conformance import check_backbone
from burnish.enhancers.registry import make_enhancers
from burnish.randomness import in_fixed_order


@pytest.mark.parametrize(
    ("device", "wanted", "inside"), [("cuda", True, True), ("cuda", False, False), ("cpu", True, False)]
)
def test_it_is_asked_for_on_a_gpu_where_numbers_shall_repeat(device, wanted, inside):
    before = torch.utils.deterministic.fill_uninitialized_memory
    asked = []

    def seen():
        with in_fixed_order(torch.device(device), wanted):
            asked.append(torch.are_deterministic_algorithms_enabled())
            asked.append(torch.is_deterministic_algorithms_warn_only_enabled())
            raise KeyError

    with pytest.raises(KeyError):
        seen()
    assert asked == [inside, inside]
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory is before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("enhancer", [{"softmax": {}}, {"shapley": {"warmup_epochs": 0}}])
def test_a_seed_means_the_same_numbers_on_a_gpu(enhancer, tmp_path):
    checks = check_backbone(
        "BPR",
        enhancers=make_enhancers(enhancer),
        options={"use_gpu": True, "gpu_id": "0"},
        folder=tmp_path,
        only=["same seed, same result"],
    )
    for check in checks:
        check()

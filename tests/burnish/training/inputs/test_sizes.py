"""Models that hold items times items are refused where memory does not suffice."""

from __future__ import annotations

from typing import Any

import pytest
from tiny_data import data_path, small, write_interactions

import burnish
from burnish.errors import ConfigurationError, DataError
from burnish.training.inputs import sizes
from burnish.training.train import train

__all__ = ["data_path", "small", "write_interactions"]


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Any:
    def give(amount: int) -> None:
        monkeypatch.setattr(sizes, "available_bytes", lambda: amount)

    return give


@pytest.mark.parametrize("model", ["EASE", "ItemKNN"])
def test_too_little_memory_is_refused_before_anything_is_built(
    model: str, small: dict[str, Any], free: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(10_000)
    monkeypatch.setattr(
        f"recbole.model.general_recommender.{model.lower()}.{model}.__init__",
        lambda *_: pytest.fail("it was built"),
    )
    with pytest.raises(
        DataError, match=rf"{model} on tiny \(30 items\) needs about .* GiB of memory are free"
    ):
        train(model, "tiny", options=small)


def test_too_many_items_to_invert(small: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "MOST_ITEMS", 29)
    with pytest.raises(DataError, match=r"EASE on tiny \(30 items\).* above 29 items"):
        train("EASE", "tiny", options=small)
    assert train("ItemKNN", "tiny", options=small).test_result


def test_others_are_not_asked(small: dict[str, Any], free: Any) -> None:
    free(0)
    assert train("BPR", "tiny", options=small).test_result
    assert train("Pop", "tiny", options=small).test_result


def test_estimates(small: dict[str, Any]) -> None:
    """As many scores as ItemKNN has at most: those of the neighbours of a user's items."""
    for k, method in ((3, "item"), (100, "item"), (5, "user")):
        result = train("ItemKNN", "tiny", options={**small, "k": k, "knn_method": method})
        scores = result.model.pred_mat.nnz
        assert scores <= sizes.item_knn_bytes(result.splits.training, 31, k, method) / 77 <= 40 * 31
    assert sizes.ease_bytes(1000) == 36_000_000
    assert sizes.available_bytes() > 2**20


def test_a_container_has_less_than_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    import psutil

    used = psutil.Process().memory_info().rss
    limit, unlimited = tmp_path / "limit", tmp_path / "max"
    limit.write_text(f"{used + 10**6}\n")
    unlimited.write_text("max\n")
    monkeypatch.setattr(sizes, "_CGROUPS", (tmp_path / "absent", unlimited))
    machine = sizes.available_bytes()
    monkeypatch.setattr(sizes, "_CGROUPS", (unlimited, limit))
    assert sizes.available_bytes() < 2 * 10**7 < machine


@pytest.mark.parametrize("enhancers", [{}, {"softmax": {}}], ids=["alone", "softmax"])
def test_tables_that_are_too_narrow_for_convolutions(
    enhancers: dict[str, Any], small: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        burnish.run(
            "ConvNCF",
            "tiny",
            enhancers=enhancers,
            config={**small, "embedding_size": 8},
        )
    said = str(raised.value)
    for part in ("ConvNCF: embedding_size = 8 is too small", "cnn_kernels = [4, 4, 2, 2]", "give a larger"):
        assert part in said

"""Enhancers whose epochs try candidates: each is put in, none is trained, and validation chooses."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

import burnish
from burnish.enhancers.attach import enhance
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.options import OptionsWithoutLoss
from burnish.enhancers.registry import make_enhancers, registered
from burnish.errors import ConfigurationError

OPTIONS = {"epochs": 50, "stopping_step": 0, "embedding_size": 8, "eval_step": 3, "train_batch_size": 4096}


class Popularity(Enhancer[OptionsWithoutLoss]):
    """Item rows that point along one axis, as far as a power of their counts says; every user looks that way."""

    name = "test_popularity"
    Config = OptionsWithoutLoss
    powers: ClassVar[tuple[float, ...]] = (-1.0, -0.5, 1.0, 0.0, -2.0)
    tried: ClassVar[list[int]] = []

    def bind(self, anatomy: object, dataset: object) -> None:
        items = dataset.inter_feat[dataset.iid_field]
        counts = torch.bincount(items, minlength=dataset.item_num).double()
        self.register_buffer("counts", counts, persistent=False)
        self.tables = [anatomy.of("user")[0], anatomy.of("item")[0]]

    def candidates(self) -> list[str]:
        return [f"counts to the power {power}" for power in self.powers]

    def try_candidate(self, number: int) -> None:
        self.tried.append(number)
        for table, values in zip(
            self.tables, (torch.ones(1), (self.counts + 1) ** self.powers[number]), strict=True
        ):
            rows: Tensor = table.raw()
            rows.zero_()
            rows[1:, 0] = values[1:].to(rows.dtype) if len(values) > 1 else 1.0


class Counting(Popularity):
    name = "test_counting"

    def bind(self, anatomy: object, dataset: object) -> None:
        super().bind(anatomy, dataset)
        self.register_buffer("number", torch.zeros(()))


class AlsoTrained(Popularity):
    name = "test_trained_too"

    def candidates(self) -> None:
        return None

    def bind(self, anatomy: object, dataset: object) -> None:
        self.scale = torch.nn.Parameter(torch.ones(()))


class Weighing(Enhancer[OptionsWithoutLoss]):
    name = "test_weighing"
    Config = OptionsWithoutLoss

    def weigh(self, batch: Any) -> Tensor:
        return torch.ones(len(batch))


class Rescoring(Weighing):
    name = "test_rescoring"

    def rescore(self, scores: Tensor, items: Tensor | None) -> Tensor:
        return scores


def test_each_has_an_epoch_and_validation_chooses() -> None:
    Popularity.tried.clear()
    result = burnish.run("BPR", "ml-100k", enhancers=[Popularity()], config=OPTIONS, seed=3)
    assert Popularity.tried == [0, 1, 2, 3, 4]
    # the third candidate is the only one that ranks popular items first
    assert result.best_epoch == 3
    assert result.n_epochs == 5
    popular = burnish.run("Pop", "ml-100k", config={}, seed=3)
    assert result.test_result["ndcg@10"] == pytest.approx(popular.test_result["ndcg@10"], abs=0.001)
    assert result.losses == [0.0] * 5


def test_nothing_to_choose_by() -> None:
    options = OPTIONS | {"eval_args": {"split": {"RS": [0.8, 0.0, 0.2]}, "order": "RO", "group_by": "user"}}
    with pytest.raises(ConfigurationError, match="chooses among 5 candidates by validation"):
        burnish.run("BPR", "ml-100k", enhancers=[Popularity()], config=options)


def test_beside_one_that_is_trained() -> None:
    with pytest.raises(ConfigurationError, match="'test_trained_too' beside it would have no effect"):
        burnish.run("BPR", "ml-100k", enhancers=[Popularity(), AlsoTrained()], config=OPTIONS)


@pytest.mark.parametrize(
    ("trying", "other", "cure"),
    [
        ("compress", {"average": {}}, "leave one of them out$"),
        ("compress", {"distil": {}}, "leave one of them out$"),
        ("compress", {"distil": {"share": 0}}, "leave one of them out$"),
        ("compress", {"distil": {"epochs": [3, 4]}}, "leave one of them out$"),
        (
            "aggregate",
            {"average": {}},
            r"or begin from what the other trains \(aggregate: \{base: average\}\)",
        ),
        ("prior", {"shapley": {"warmup_epochs": 1}}, "or begin from a run with the other"),
        ("prior", {"test_weighing": {}}, "or begin from a run with the other"),
        ("prior", {"softmax": {}}, "or begin from a run with the other"),
        ("prior", {"compress": {}}, "or begin from a run with the other"),
    ],
)
def test_beside_one_that_counts_in_training_steps_alone(
    trying: str, other: dict[str, Any], cure: str, world: Any
) -> None:
    (name,) = other
    words = f"'{trying}' tries candidates and trains nothing, so '{name}' beside it would have no effect; .*{cure}"
    with registered([Weighing]), pytest.raises(ConfigurationError, match=words):
        world(enhance("BPR", *make_enhancers({trying: {}, **other})))


def test_beside_one_that_counts_without_training(world: Any) -> None:
    """What changes scores or rows without parameters; and weights in a graph, which is told."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        made = world(enhance("BPR", *make_enhancers({"prior": {}}), Rescoring()))
    assert made.model.enhancers.trying.name == "prior"
    with pytest.warns(UserWarning, match="weights of 'shapley' count in the graph alone"):
        made = world(enhance("LightGCN", *make_enhancers({"prior": {}, "shapley": {"propagate": True}})))
    assert made.model.enhancers.trying.name == "prior"


def test_a_run_of_before_with_such_an_enhancer_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("burnish.enhancers.host.check_beside", lambda *_: None)
        block: dict[str, Any] = {"compress": {"ridge": 100, "ranks": 4, "teachers": "ease"}, "average": {}}
        before = burnish.run(
            "BPR", "ml-100k", enhancers=block, config=OPTIONS, folder=tmp_path / "run", seed=3
        )
    read = burnish.load_run(tmp_path / "run").model
    torch.testing.assert_close(read.user_embedding.weight, before.model.user_embedding.weight)


def test_its_tensors_are_saved_once() -> None:
    result = burnish.run("BPR", "ml-100k", enhancers=[Counting()], config=OPTIONS, seed=3)
    saved = [name for name in result.model.state_dict() if name.endswith("number")]
    assert saved == ["enhancers.attached.test_counting.number"]

"""A small data set for tests of runs and comparisons: two groups of users that like two groups of items."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.options import EnhancerConfig
from burnish.enhancers.registry import register

Writer = Callable[[Path, str, list[tuple[str, str, int]]], None]


def _write(folder: Path, name: str, rows: list[tuple[str, str, int]]) -> None:
    """An atomic file `<folder>/<name>/<name>.inter` with user, item and timestamp columns."""
    (folder / name).mkdir(parents=True)
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    lines += [f"{user}\t{item}\t{time}" for user, item, time in rows]
    (folder / name / f"{name}.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")


class UnevenConfig(EnhancerConfig):
    """Options of `Uneven`."""

    spread: float = 0.5


@register
class Uneven(Enhancer[UnevenConfig]):
    """Counts every other interaction more than its neighbour: an enhancer that surely changes training."""

    name = "uneven"
    Config = UnevenConfig

    def weigh(self, batch: Any) -> torch.Tensor:
        sign = torch.ones(len(batch))
        sign[::2] = -1
        weights = 1 + self.config.spread * sign
        return weights / weights.mean()


@pytest.fixture(scope="session")
def write_interactions() -> Writer:
    """Writes a data set: `write_interactions(folder, name, [(user, item, time), ...])`."""
    return _write


@pytest.fixture(scope="session")
def data_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data set "tiny": 40 users, 30 items, 12 interactions a user."""
    folder = tmp_path_factory.mktemp("data")
    draw = random.Random(7)
    rows = []
    for user in range(40):
        liked = range(15) if user % 2 else range(15, 30)
        items = draw.sample(liked, 9) + draw.sample(range(30), 12)
        for time, item in enumerate(list(dict.fromkeys(items))[:12]):
            rows.append((f"u{user}", f"i{item}", time))
    _write(folder, "tiny", rows)
    return folder


@pytest.fixture
def small(data_path: Path) -> dict[str, Any]:
    """Options that train a tiny model on "tiny" in a fraction of a second."""
    return {
        "data_path": str(data_path),
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "epochs": 2,
        "embedding_size": 8,
        "train_batch_size": 64,
        "metrics": ["NDCG", "Recall", "MRR"],
        "topk": [5, 10],
        "valid_metric": "NDCG@10",
        "use_gpu": False,
        "threads": 1,
    }


@pytest.fixture(autouse=True)
def _own_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test runs in an empty folder, so that whatever RecBole drops there is seen."""
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))


@pytest.fixture
def plan_content(small: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A plan as YAML would hold it: BPR, plain and with larger tables, two seeds, one epoch, no floors."""
    options = {key: value for key, value in small.items() if key != "threads"}
    return {
        "dataset": "tiny",
        "backbones": ["BPR"],
        "arms": {"big": {"options": {"embedding_size": 16}}},
        "floors": [],
        "seeds": 2,
        "options": {**options, "epochs": 1},
        "runs": str(tmp_path / "runs"),
        "threads": 1,
    }

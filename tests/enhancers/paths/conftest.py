"""Small data sets with files beside the interactions, and the training split that RecBole makes of them."""

from __future__ import annotations

import gzip
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from recbole.config import Config
from recbole.data import create_dataset

import burnish  # noqa: F401  (mends RecBole)
from burnish.enhancers.paths.graph import Graph
from burnish.enhancers.paths.graph_options import GraphConfig
from burnish.enhancers.paths.sources import read_graph

#: Eight users and ten items, all of them in training; then validation and test.
TRAIN = [(f"u{user}", f"i{(user * 3 + step) % 10}") for user in range(8) for step in range(4)]
VALID = [(f"u{user}", f"i{(user * 3 + 5) % 10}") for user in range(8)]
TEST = [(f"u{user}", f"i{(user * 3 + 7) % 10}") for user in range(8)]


@dataclass
class World:
    """A data set's folder, and what is read of it."""

    folder: Path

    def write(self, **files: str | bytes) -> World:
        """`write(kg="...")` writes NAME.kg; in names, `__` is a dot."""
        for suffix, content in files.items():
            path = self.folder / f"{self.folder.name}.{suffix.replace('__', '.')}"
            raw = content.encode() if isinstance(content, str) else content
            path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
        return self

    def interactions(self, part: str, rows: list[tuple[Any, ...]], *columns: str) -> World:
        head = "\t".join(("user_id:token", "item_id:token", *columns))
        lines = ["\t".join(map(str, row)) for row in rows]
        return self.write(**{f"{part}__inter": "\n".join([head, *lines]) + "\n"})

    def train(self, model: str = "BPR", **options: Any) -> Any:
        """RecBole's data set of the training split."""
        settings = {
            "data_path": str(self.folder.parent),
            "benchmark_filename": ["train", "valid", "test"],
            "load_col": {"inter": ["user_id", "item_id"]},
            "show_progress": False,
            **options,
        }
        config = Config(model=model, dataset=self.folder.name, config_dict=settings)
        return create_dataset(config).build()[0]

    def graph(self, train: Any = None, **options: Any) -> Graph:
        return read_graph(self.train() if train is None else train, GraphConfig(**options))

    def edges(self, graph: Graph, name: str, train: Any = None) -> set[tuple[str, str]]:
        """Edges by original ids and texts."""
        train = self.train() if train is None else train
        texts = dict(graph.labels)
        texts["user"] = list(map(str, train.field2id_token["user_id"]))
        texts["item"] = list(map(str, train.field2id_token["item_id"]))
        one = graph.relation(name)
        pairs = zip(one.sources.tolist(), one.targets.tolist(), strict=True)
        return {(texts[one.source][begin], texts[one.target][end]) for begin, end in pairs}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The data set "shop" without files beside its interactions."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    logging.disable(logging.INFO)
    folder = tmp_path / "data" / "shop"
    folder.mkdir(parents=True)
    made = World(folder)
    for part, rows in (("train", TRAIN), ("valid", VALID), ("test", TEST)):
        made.interactions(part, rows)
    return made


@pytest.fixture
def table() -> Callable[..., str]:
    """Lines of cells as a file's text: `table("a:token b:token", "1 x", "2 y")`; blanks stand between cells."""

    def text(*lines: str) -> str:
        return "".join("\t".join(line.split(" ")) + "\n" for line in lines)

    return text

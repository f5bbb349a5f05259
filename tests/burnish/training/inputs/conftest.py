"""A data set "d" with all kinds of atomic files, which tests spoil."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest
from spoilt_world import COMMON, WORLDS, good_files
from tiny_data import _own_folder

from burnish.training.request import make_config
from burnish.training.train import train

__all__ = ["_own_folder"]


class World:
    """The files of `d`, and what `train` says of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "d"
        self.folder.mkdir()
        self.texts = good_files(random.Random(1))
        for suffix, text in self.texts.items():
            self.write(suffix, text)

    def write(self, suffix: str, content: str | bytes) -> Path:
        file = self.folder / f"d.{suffix}"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    def spoil(self, suffix: str, old: str, new: str, count: int = 1) -> Path:
        """Replace a piece of a file's text, which must be there."""
        assert old in self.texts[suffix]
        return self.write(suffix, self.texts[suffix].replace(old, new, count))

    def options(self, model: str, options: dict[str, Any]) -> dict[str, Any]:
        own = WORLDS.get(model, WORLDS["BPR"])
        kept = {name: value for name, value in COMMON.items() if value is not None or name in options}
        return copy.deepcopy({**kept, **own, "data_path": str(self.folder.parent), **options})

    def train(self, model: str = "BPR", **options: Any) -> Any:
        return train(model, "d", options=self.options(model, options), keep_checkpoint=False)

    def dataset(self, model: str = "BPR", **options: Any) -> Any:
        """RecBole's data set, read and not split."""
        from burnish.enhancers.zoo import find_backbone
        from burnish.training.data import load_dataset

        return load_dataset(make_config(find_backbone(model), "d", {}, self.options(model, options)))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)

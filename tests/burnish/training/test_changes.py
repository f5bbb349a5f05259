"""What training changed in a model, as a saved state has it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from burnish.files.portable import Packer
from burnish.training.changes import Baseline, apply


class Reader:
    """Holds what it read last, which is worth no file."""

    def __init__(self) -> None:
        self.last: torch.Tensor | None = None
        self.count = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "last": None}


Reader.__module__ = "burnish.somewhere"  # looked into as what is ours


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.reader = Reader()
        self.note: int | None = 3


def changed() -> tuple[list[dict[str, Any]], list[str], Packer]:
    model = Model()
    before = Baseline(model)
    model.reader.last, model.reader.count = torch.ones(3), 2
    model.note = None
    del model.note
    packer = Packer()
    entries, left_out = before.changes(model, packer)
    return entries, left_out, packer


def test_what_a_class_does_not_keep_is_not_gone() -> None:
    entries, left_out, _ = changed()
    assert left_out == []
    gone = [entry["place"][-1][-1] for entry in entries if entry.get("gone")]
    assert gone == ["note"]


def test_the_changes_fit_a_new_model() -> None:
    entries, _, packer = changed()
    model = Model()
    apply(model, Baseline(model), [e for e in entries if not e.get("gone")], packer.tensors)
    assert (model.reader.last, model.reader.count) == (None, 2)

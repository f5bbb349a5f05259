"""Metrics of RecBole's that stop after the first epoch."""

from __future__ import annotations

import copy
from types import ModuleType
from typing import Any

from .mend import mend


@mend(
    "beyond-accuracy-metrics",
    library="recbole",
    versions="1.2.1",
    symptom="GiniIndex, ItemCoverage, AveragePopularity and TailPercentage stop the evaluation: what they need are "
    "numbers and counters, and each is asked for `.cpu()` (collector.py:253)",
    modules=("recbole.evaluator.collector",),
    applies=lambda: True,
)
def collect_what_is_not_a_tensor(module: ModuleType) -> None:
    """Replace `Collector.get_data_struct`: the same, but only tensors are moved."""
    module.Collector.get_data_struct = _get_data_struct


def _get_data_struct(self: Any) -> Any:
    """Everything collected, on the CPU; what belongs to one evaluation is forgotten here."""
    import torch

    held = self.data_struct._data_dict
    for name, value in held.items():
        if isinstance(value, torch.Tensor):
            held[name] = value.cpu()
    collected = copy.deepcopy(self.data_struct)
    for name in ("rec.topk", "rec.meanrank", "rec.score", "rec.items", "data.label"):
        held.pop(name, None)
    return collected


@mend(
    "knowledge-loader-data-set",
    library="recbole",
    versions="1.2.1",
    symptom="metrics that count items stop the training of knowledge-aware models: their loader has no `dataset` "
    "(collector.py:87)",
    modules=("recbole.data.dataloader.knowledge_dataloader",),
    applies=lambda: True,
)
def give_knowledge_loader_its_data_set(module: ModuleType) -> None:
    """Let the loader of knowledge-aware models have the data set of its part that samples interactions."""
    module.KnowledgeBasedDataLoader.dataset = property(lambda self: self.general_dataloader.dataset)

"""Times are sorted by exactly, although RecBole keeps them in single precision.

Seconds since 1970 are about 1.6e9: single precision has steps of 128 there, so that RecBole sorts whatever lies in
one step by chance of the file.  Histories, and which item is a user's last, come out wrong without a word.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from .mend import mend

_DATASET = "recbole.data.dataset.dataset"


@mend(
    "exact-times",
    library="recbole",
    versions="1.2.1",
    symptom="silent: times become float32 before they are sorted by (dataset.py:1220, 1829), "
    "so interactions within 64 to 128 s, and whatever was tested as a user's last item, stand in the wrong order",
    modules=(_DATASET,),
    applies=lambda: True,
)
def sort_by_exact_times(module: ModuleType) -> None:
    """Keep times in double precision while a data set is built, and in single precision, as RecBole's, afterwards."""
    dataset = module.Dataset
    dataset._change_feat_format = _keeping_exact_times(dataset._change_feat_format)
    # Data sets of other kinds override `build` and end in this one, or are made after it by `copy`.
    dataset.build = _giving_back_single_precision(dataset.build)


def _keeping_exact_times(change: Any) -> Any:
    @functools.wraps(change)
    def _change_feat_format(self: Any) -> None:
        import torch

        time = self.time_field
        exact = None
        if time is not None and time in self.inter_feat:
            column = self.inter_feat[time]
            whole = column.dtype.kind == "i"  # of `whole_times_`
            exact = torch.from_numpy(column.to_numpy(dtype="int64" if whole else "float64", copy=True))
            if whole:
                self.inter_feat[time] = column.astype("float64")
        change(self)
        if exact is None:
            return
        rounded = self.inter_feat.interaction[time]
        # A numerical feature is a pair of columns, value and place.
        self.inter_feat.interaction[time] = (
            exact if rounded.dim() == 1 else torch.stack([exact, rounded[..., 1].double()], dim=-1)
        )

    return _change_feat_format


def _giving_back_single_precision(build: Any) -> Any:
    @functools.wraps(build)
    def built(self: Any) -> Any:
        parts = build(self)
        _round(self, [self.inter_feat, *(part.inter_feat for part in parts)])
        return parts

    return built


def _round(dataset: Any, interactions: Iterable[Any]) -> None:
    """Make times, and the histories of times of sequential data sets, float32."""
    names = {dataset.time_field, getattr(dataset, f"{dataset.time_field}_list_field", None)}
    for interaction in interactions:
        columns = getattr(interaction, "interaction", {})
        for name in names & set(columns):
            columns[name] = columns[name].float()

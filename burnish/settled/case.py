"""One model on one data set, with the options as they are so far."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .beside import Beside


@dataclass
class Case:
    """What options are settled for.

    Parameters
    ----------
    model
        The class, perhaps with enhancers.
    options
        All of them, defaults included; those that were settled so far are put here.
    given
        Names of those that somebody gave.
    beside
        The files of the data set.
    ours
        Whether burnish trains; False in RecBole's own `run_recbole`, whose runs must stay what they are.
    """

    model: type
    options: dict[str, Any]
    given: Collection[str]
    beside: Beside
    ours: bool = True
    #: Whether the model learns from labels and none was read before anything was settled.
    lacked_label: bool = False

    @property
    def name(self) -> str:
        """Of the model."""
        return self.model.__name__

    @property
    def kind(self) -> str:
        """Of the model, in RecBole's words: "GENERAL", "SEQUENTIAL", ..."""
        return str(getattr(getattr(self.model, "type", None), "name", ""))

    @property
    def input(self) -> str | None:
        """What a model's class says of its rows: "POINTWISE", "PAIRWISE", ...; None where its loss decides."""
        kind = getattr(self.model, "input_type", None)
        return None if kind is None else str(kind.name)

    def column(self, option: str) -> str:
        """The column that an option such as TIME_FIELD names; "" for none."""
        value = self.options.get(option)
        return value if isinstance(value, str) else ""

    def has(self, source: str, *columns: str) -> bool:
        """Whether a file has all of these columns."""
        return bool(columns) and all(column in self.beside.columns(source) for column in columns)

    def loads(self, source: str, column: str) -> bool:
        """Whether a column is read, where its file has it."""
        load = self.options.get("load_col")
        if load is None:
            return True
        columns = load.get(source) if isinstance(load, Mapping) else None
        return columns == "*" or (isinstance(columns, list | tuple) and column in columns)

    def order(self) -> tuple[str, str]:
        """`eval_args.order`, and how `eval_args.split` is made: ("RO", "RS") where nothing is said."""
        args = self.options.get("eval_args")
        args = args if isinstance(args, Mapping) else {}
        split = args.get("split")
        return str(args.get("order", "RO")), next(iter(split), "RS") if isinstance(split, Mapping) else "RS"

    def samples(self) -> bool:
        """Whether items that a user does not know are drawn for training."""
        args = self.options.get("train_neg_sample_args")
        return isinstance(args, Mapping) and args.get("distribution", "uniform") not in (None, "None", "none")

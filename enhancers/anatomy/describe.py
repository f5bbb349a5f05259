"""What a backbone is made of: where its user and item embeddings live, and what else an enhancer may use."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from burnish.errors import DataError, NonFiniteError, UnsupportedError

from .find import find_tables
from .numbers import numbers_of
from .pairs import Pair, score_pairs
from .table import Side, Table

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.dataset import Dataset


@dataclass(frozen=True)
class Fields:
    """Names of the columns of a batch (None where this backbone's batches have none)."""

    user: str
    item: str
    label: str | None
    sequence: str | None
    sequence_length: str | None


@dataclass(frozen=True)
class Anatomy:
    """The parts of one backbone that enhancers work on.

    n_users, n_items: numbers of ids, the padding id 0 included.
    tables: every embedding table found, in the order of the backbone's parameters.
    pairs: the (users, items) tables that meet in the score; both of items where their items stand for a user
        (see `pairs`).
    output: widths of the (user, item) embeddings that the backbone's `forward` gives for all ids at once
        (graph models), or None where it gives none.
    """

    backbone: str
    n_users: int
    n_items: int
    tables: tuple[Table, ...]
    fields: Fields
    output: tuple[int, int] | None = None
    pairs: tuple[Pair, ...] = ()
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def of(self, side: Side) -> tuple[Table, ...]:
        """The tables of one side."""
        return tuple(table for table in self.tables if table.side == side)

    def need(self, side: Side, enhancer: str) -> tuple[Table, ...]:
        """The tables of one side; `UnsupportedError` when the backbone has none."""
        tables = self.of(side)
        if not tables:
            raise UnsupportedError(
                f"enhancer {enhancer!r} needs {side} embeddings, and {self.backbone} has no table whose rows are "
                f"{side}s and at least two numbers wide. It works with backbones that have one, such as BPR, LightGCN, "
                f"NeuMF or SASRec. If this one has, its class can say so: see burnish_tables in docs/backbones.md."
            )
        return tables


def describe(model: nn.Module, config: Config, dataset: Dataset) -> Anatomy:
    """The anatomy of a freshly made backbone.

    dataset: the training split; only its numbers of users and items are read.
    Raises `DataError` for a data set without users or items and `NonFiniteError` for a table that holds
    NaN or infinity already.
    """
    numbers = numbers_of(model, config, dataset)
    n_users, n_items = numbers.users, numbers.items
    if n_users < 2 or n_items < 2:
        raise DataError(
            f"the training data hold {n_users - 1} users and {n_items - 1} items; at least one of each is needed"
        )
    tables = tuple(find_tables(model, numbers))
    for table in tables:
        if not bool(torch.isfinite(table.raw()).all()):
            raise NonFiniteError(
                f"table {table.name!r} of {type(model).__name__} holds NaN or infinite values before training; "
                f"check its initialisation or the pre-trained vectors that were loaded into it"
            )
    return Anatomy(
        backbone=type(model).__name__,
        n_users=n_users,
        n_items=n_items,
        tables=tables,
        fields=_fields(model, config),
        output=_output_widths(model, n_users, n_items),
        pairs=score_pairs(model, tables, numbers),
        device=torch.device(config["device"]),
    )


def _fields(model: nn.Module, config: Config) -> Fields:
    sequence = getattr(model, "ITEM_SEQ", None)
    return Fields(
        user=config["USER_ID_FIELD"],
        item=config["ITEM_ID_FIELD"],
        label=config["LABEL_FIELD"],
        sequence=sequence,
        sequence_length=getattr(model, "ITEM_SEQ_LEN", None) if sequence else None,
    )


def _output_widths(model: nn.Module, n_users: int, n_items: int) -> tuple[int, int] | None:
    """Widths of the (user, item) matrices that `forward` gives without a batch, found by calling it once."""
    call = propagation(model)
    if call is None:
        return None
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            result: Any = call()
    finally:
        model.train(was_training)
    if not is_output(result, n_users, n_items):
        return None
    return int(result[0].shape[1]), int(result[1].shape[1])


def propagation(model: nn.Module) -> Callable[[], Any] | None:
    """A call of `forward` that needs no batch (it gives all users and items at once), or None.

    RecBole's graph models either take nothing (LightGCN, NGCF, DGCF, NCL) or the graph (SGL).
    """
    forward = model.forward
    owner = next(
        cls for cls in type(model).__mro__ if "forward" in vars(cls) and not vars(cls).get("passes_forward")
    )
    parameters = list(inspect.signature(vars(owner)["forward"]).parameters.values())[1:]
    needed = [
        p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if not needed and not hasattr(model, "get_ego_embeddings"):
        return None  # a forward without arguments that is not a graph model's (for example a traditional model's)
    if not needed:
        return lambda: forward()
    graph = getattr(model, "train_graph", None)
    if needed == ["graph"] and graph is not None:
        return lambda: forward(graph)
    return None


def is_output(result: Any, n_users: int, n_items: int) -> bool:
    """Whether a `forward` result starts with the embeddings of all users and of all items."""
    if not isinstance(result, tuple | list) or len(result) < 2:
        return False
    users, items = result[0], result[1]
    return (
        isinstance(users, Tensor)
        and isinstance(items, Tensor)
        and users.dim() == items.dim() == 2
        and users.shape[0] == n_users
        and items.shape[0] == n_items
    )

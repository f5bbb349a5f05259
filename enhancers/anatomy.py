"""What a backbone is made of: where its user and item embeddings live, and what else an enhancer may use."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from .errors import DataError, NonFiniteError, UnsupportedError

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.dataset import Dataset

Side = Literal["user", "item"]


@dataclass(frozen=True)
class Table:
    """One embedding table of one side: `count` rows of `width` numbers inside a parameter of the backbone.

    A parameter may hold more than one table (users above items in one matrix) or rows that belong to nobody
    (BERT4Rec's mask token), so a table is the span `first .. first + count` of it; row `first` is id 0, padding.
    transposed: the ids run along the second axis of the parameter (a Linear layer fed with one-hot ids).
    """

    name: str
    owner: nn.Module = field(repr=False, compare=False)
    parameter: str
    side: Side
    first: int
    count: int
    width: int
    transposed: bool = False

    def raw(self) -> Tensor:
        """The backbone's own rows, without any refinement: `[count, width]`."""
        stored = self.owner._parameters[self.parameter]
        assert stored is not None  # a table is only ever made from a parameter that is there
        rows = stored.t() if self.transposed else stored
        return rows[self.first : self.first + self.count]


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
    output: widths of the (user, item) embeddings that the backbone's `forward` gives for all ids at once
        (graph models), or None where it gives none.
    """

    backbone: str
    n_users: int
    n_items: int
    tables: tuple[Table, ...]
    fields: Fields
    output: tuple[int, int] | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def of(self, side: Side) -> tuple[Table, ...]:
        """The tables of one side."""
        return tuple(table for table in self.tables if table.side == side)

    def need(self, side: Side, enhancer: str) -> tuple[Table, ...]:
        """The tables of one side; `UnsupportedError` when the backbone has none."""
        found = self.of(side)
        if not found:
            raise UnsupportedError(
                f"enhancer {enhancer!r} needs {side} embeddings, and {self.backbone} has no table whose rows are "
                f"{side}s. It works with backbones that have one, such as BPR, LightGCN, NeuMF or SASRec."
            )
        return found


#: Modules whose matrices hold weights of a function, not a row for each user or item.
_FUNCTIONS = (nn.Linear, nn.RNNBase, nn.RNNCellBase, nn.modules.conv._ConvNd, nn.LayerNorm, nn.Bilinear)

#: Tables indexed by a place in a sequence may have as many rows as there are items by chance.
_PLACES = ("position", "pos_emb", "positional")


def describe(model: nn.Module, config: Config, dataset: Dataset) -> Anatomy:
    """The anatomy of a freshly made backbone.

    dataset: the training split; only its numbers of users and items are read.
    Raises `DataError` for a data set without users or items and `NonFiniteError` for a table that holds
    NaN or infinity already.
    """
    user_field, item_field = config["USER_ID_FIELD"], config["ITEM_ID_FIELD"]
    n_users, n_items = int(dataset.num(user_field)), int(dataset.num(item_field))
    if n_users < 2 or n_items < 2:
        raise DataError(
            f"the training data hold {n_users - 1} users and {n_items - 1} items; at least one of each is needed"
        )
    tables = tuple(_find_tables(model, n_users, n_items))
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


def _find_tables(model: nn.Module, n_users: int, n_items: int) -> Iterator[Table]:
    seen: set[int] = set()
    for module_name, module in model.named_modules():
        if isinstance(module, _FUNCTIONS):
            continue
        for parameter_name, parameter in module._parameters.items():
            if parameter is None or parameter.dim() != 2 or id(parameter) in seen:
                continue
            name = f"{module_name}.{parameter_name}" if module_name else parameter_name
            for side, first, count in _spans(name.lower(), parameter.shape[0], n_users, n_items):
                if parameter.shape[1] < 2:  # a column of biases
                    continue
                seen.add(id(parameter))
                yield Table(name, module, parameter_name, side, first, count, parameter.shape[1])


def _spans(name: str, rows: int, n_users: int, n_items: int) -> list[tuple[Side, int, int]]:
    """Which users and items a matrix with that name and number of rows holds: (side, first row, count)."""
    if any(word in name for word in _PLACES):
        return []
    says_user, says_item = "user" in name, "item" in name
    if rows == n_items and (n_items != n_users or says_item or not says_user):
        return [("item", 0, n_items)]
    if rows == n_users:
        return [("user", 0, n_users)]
    if rows == n_users + n_items:
        return [("user", 0, n_users), ("item", n_users, n_items)]
    # One or two extra rows stand for special tokens (mask, end); a name is asked for, since sizes may coincide.
    if rows in (n_items + 1, n_items + 2) and says_item:
        return [("item", 0, n_items)]
    return []


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

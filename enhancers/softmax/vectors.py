"""Backbones whose score is a product of a user's vector and an item's: where these vectors come from."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from burnish.enhancers.anatomy.describe import Anatomy, propagation
from burnish.enhancers.anatomy.table import Table
from burnish.enhancers.kept_embeddings import clear_kept
from burnish.enhancers.unchanged import evaluating, unchanged
from burnish.randomness import forked_randomness

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset

    from burnish.enhancers.state import HostState

#: tables: rows of a table of users.  output: what a graph backbone propagates.  sequence: what an encoder makes of a
#: history.  Items are rows of a table, or propagated too.
Source = Literal["tables", "output", "sequence"]

#: Users (or rows) that the score is looked at for, and how far it may be from the product, as a share of its spread.
LOOKED_AT = 8
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Vectors:
    """A backbone's vectors of users and items.

    users: the table of users (source "tables").  items: that of items (other than for source "output").
    sigmoid: whether the score is the product's sigmoid.
    """

    source: Source
    users: Table | None
    items: Table | None
    sigmoid: bool = False

    def of_users(self, model: Any, state: HostState, batch: Any, user_field: str) -> Tensor:
        """Vectors of the batch's users, or of its rows' histories: `[B, d]`."""
        if self.source == "tables":
            assert self.users is not None
            return state.refined(self.users, batch[user_field])
        if self.source == "output":
            return _propagated(model, state)[0][batch[user_field]]
        return encoded(model, batch)

    def of_items(self, model: Any, state: HostState, ids: Tensor | None = None) -> Tensor:
        """Vectors of items `[n]`, all of them by default: `[n_items, d]`, padding included."""
        if self.source == "output":
            items = _propagated(model, state)[1]
            return items if ids is None else items[ids]
        assert self.items is not None
        if ids is None:
            ids = torch.arange(self.items.count, device=self.items.stored.device)
        return state.refined(self.items, ids)


def find_vectors(model: Any, anatomy: Anatomy, dataset: Dataset) -> Vectors | None:
    """How a backbone's score comes of two vectors; None where it does not, or where that cannot be seen.

    Nothing is listed: the scores that `full_sort_predict` gives a few training rows are compared with the products.  A
    product's sigmoid will do, as it ranks alike.  Streams and model stay as they are.
    """
    rows = torch.linspace(0, len(dataset) - 1, LOOKED_AT).round().long()
    batch = dataset[rows].to(anatomy.device)
    with forked_randomness(0, anatomy.device), unchanged(model), evaluating(model), torch.no_grad():
        found = _products(model, anatomy, batch)
        zeros = [one for name, one in model.named_parameters() if _is_zero(name, one)] if found else []
        if found is not None and zeros:
            # A bias that begins at 0 is in no score yet, and will be.
            try:
                for parameter in zeros:
                    parameter.normal_(0.0, 0.1)
                again = _products(model, anatomy, batch)
            finally:
                for parameter in zeros:
                    parameter.zero_()
            found = found if again == found else None
        clear_kept(model)
    return found


def _is_zero(name: str, parameter: Tensor) -> bool:
    """Whether a parameter of the backbone is 0 everywhere."""
    return not name.startswith("enhancers.") and parameter.is_floating_point() and not bool(parameter.any())


def _products(model: Any, anatomy: Anatomy, batch: Any) -> Vectors | None:
    """Of which vectors the scores of a batch's rows are products, as the parameters are now."""
    n = len(batch)
    clear_kept(model)
    try:
        scores = model.full_sort_predict(batch).reshape(n, -1)
    except (
        NotImplementedError,
        KeyError,
        AttributeError,
        TypeError,
        RuntimeError,
        IndexError,
        AssertionError,
    ):
        return None  # it scores pairs only, or needs columns that training rows lack
    finally:
        clear_kept(model)
    if scores.shape[1] < anatomy.n_items:
        return None
    for vectors, make in _possible(model, anatomy, batch):
        made = make()
        agreed = None if made is None else _agreed(scores[:, 1 : anatomy.n_items], *made)
        if agreed is not None:
            return replace(vectors, sigmoid=agreed == "sigmoid")
    return None


Made = tuple[Tensor, Tensor] | None


def _possible(model: Any, anatomy: Anatomy, batch: Any) -> list[tuple[Vectors, Callable[[], Made]]]:
    """What the vectors may be, with how to compute those of the batch `[B, d]` and of all items `[n_items, d]`."""
    user_ids = batch[anatomy.fields.user]
    ways: list[tuple[Vectors, Callable[[], Made]]] = []

    def output() -> Made:
        users, items = call()[:2]  # type: ignore[misc]
        return users[user_ids], items

    call = propagation(model) if anatomy.output is not None else None
    if call is not None:
        ways.append((Vectors("output", None, None), output))
    for users, items in anatomy.pairs:
        if users.width != items.width:
            continue
        if users.side == "user":
            ways.append(
                (Vectors("tables", users, items), lambda u=users, i=items: (u.raw()[user_ids], i.raw()))  # type: ignore[misc]
            )
        elif anatomy.fields.sequence is not None:
            ways.append((Vectors("sequence", None, items), lambda i=items: _encoded(model, batch, i)))  # type: ignore[misc]
    return ways


def _encoded(model: Any, batch: Any, items: Table) -> Made:
    try:
        states = encoded(model, batch)
    except (KeyError, TypeError, RuntimeError, IndexError):
        return None
    rows = items.raw()
    return (states, rows) if states.dim() == 2 and states.shape[1] == rows.shape[1] else None


#: Columns of a batch by the names that forwards of sequential backbones give their parameters.
_PARAMETERS = {
    "item_seq": "ITEM_SEQ",
    "item_seq_len": "ITEM_SEQ_LEN",
    "user": "USER_ID",
    "user_id": "USER_ID",
}


def encoded(model: Any, batch: Any) -> Tensor:
    """What a sequential backbone's `forward` makes of the batch's histories; `TypeError` for one that takes more."""
    owner = next(
        cls for cls in type(model).__mro__ if "forward" in vars(cls) and not vars(cls).get("passes_forward")
    )
    given = []
    for name, parameter in list(inspect.signature(vars(owner)["forward"]).parameters.items())[1:]:
        if name in _PARAMETERS:
            given.append(batch[getattr(model, _PARAMETERS[name])])
        elif parameter.default is parameter.empty:
            raise TypeError(
                f"forward of {type(model).__name__} takes {name!r}, which no column of a batch is"
            )
    states: Tensor = model.forward(*given)
    if not isinstance(states, Tensor):
        raise TypeError(f"forward of {type(model).__name__} gives {type(states).__name__}")
    return states


def _propagated(model: nn.Module, state: HostState) -> tuple[Tensor, Tensor]:
    """Propagated embeddings of all users and items; once a training step."""
    if state.inside_step and state.output is not None:
        return state.output
    call = propagation(model)
    assert call is not None
    users, items = call()[:2]
    if state.inside_step:
        state.output = (users, items)
    return users, items


def _agreed(scores: Tensor, users: Tensor, items: Tensor) -> Literal["product", "sigmoid"] | None:
    """What of the two vectors' product the scores are; None for something else."""
    products = (users.double() @ items.double().t())[:, 1 : scores.shape[1] + 1]
    if products.shape != scores.shape:
        return None
    wanted = scores.double()
    allowed = TOLERANCE * max(float(wanted.std()), 1e-12)
    if float((wanted - products).abs().max()) <= allowed:
        return "product"
    return "sigmoid" if float((wanted - torch.sigmoid(products)).abs().max()) <= allowed else None

"""Which tables carry a backbone's score: whose users and items an enhancer compares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from .numbers import fields_of_ffm
from .table import Table

if TYPE_CHECKING:
    from .numbers import Numbers

#: (users, items) whose rows belong together: spans of users or, where a user is what their items say, of items.
Pair = tuple[Table, Table]

#: RecBole's models with more tables than those that meet in the score, by class: (users, items), by module.
#: A first name that is a table of items means: a user is the items that they know.
PAIRS: dict[str, tuple[tuple[str, str], ...]] = {
    "LINE": (("user_embedding", "item_embedding"),),
    "NNCF": (("user_embedding", "item_embedding"),),
    "CDAE": (("h_user", "out_layer"),),
    "CKE": (("user_embedding", "item_embedding"),),
    "KTUP": (("user_embedding", "item_embedding"),),
    "MKR": (("user_embeddings_lookup", "item_embeddings_lookup"),),
    "FPMC": (("UI_emb", "IU_emb"),),
    "HGN": (("user_embedding", "item_embedding_for_prediction"),),
    # Users are a move from the last item (TransRec) and weights of places (FOSSIL), not points among the items.
    "TransRec": (("item_embedding", "item_embedding"),),
    "FOSSIL": (("item_embedding", "item_embedding"),),
}


def score_pairs(model: nn.Module, tables: Sequence[Table], numbers: Numbers) -> tuple[Pair, ...]:
    """The pairs of tables that meet in the score of a backbone; none where it has no table of items.

    1. What `PAIRS` says of RecBole's class, and FFM's two copies that meet in its product.
    2. As many tables of users as of items: in order (backbones with towers name them so).
    3. Tables of users, but not as many: the first of each side.
    4. No table of users: their items stand for a user.  Where sequences are read, the first table of items on both
       sides; else the first for what they know (encoder, source), the last for what is scored (decoder, target).
    """
    users = [table for table in tables if table.side == "user"]
    items = [table for table in tables if table.side == "item"]
    if not items:
        return ()
    named = _named_pairs(model, tables, numbers)
    if named:
        return named
    if users:
        return tuple(zip(users, items, strict=True)) if len(users) == len(items) else ((users[0], items[0]),)
    return ((items[0], items[0] if numbers.sequential else items[-1]),)


def _named_pairs(model: nn.Module, tables: Sequence[Table], numbers: Numbers) -> tuple[Pair, ...]:
    for cls in type(model).__mro__:
        if not cls.__module__.startswith("recbole.model."):
            continue
        if cls.__name__ == "FFM":
            return _field_aware_pair(model, tables, numbers)
        if cls.__name__ in PAIRS:
            by_module = {table.name.rpartition(".")[0]: table for table in tables}
            wanted = PAIRS[cls.__name__]
            pairs = [
                (by_module[one], by_module[other]) for one, other in wanted if {one, other} <= set(by_module)
            ]
            return tuple(pairs)
    return ()


def _field_aware_pair(model: nn.Module, tables: Sequence[Table], numbers: Numbers) -> tuple[Pair, ...]:
    """FFM scores a user's row for the item's field against an item's row for the user's field."""
    fields = fields_of_ffm(model)
    of_user, of_item = fields.get(numbers.user_field), fields.get(numbers.item_field)
    by_side = {(table.side, table.name): table for table in tables}
    user = by_side.get(("user", f"ffm.token_embeddings.{of_item}.weight"))
    item = by_side.get(("item", f"ffm.token_embeddings.{of_user}.weight"))
    return ((user, item),) if user is not None and item is not None else ()

"""Which parameters of a backbone hold users or items, found by what a model says about them.

Four readers, the first that knows a parameter decides:

1. `burnish_tables` of the model class: what its author declares, complete;
2. `table_rules`: RecBole's own models whose names mislead;
3. field tables: one matrix for all token fields of a context model, with an offset a field;
4. names: a table of users says so in its name, and has as many rows.

Numbers of rows alone never decide between users and items, since they may be equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from torch import nn

from burnish.errors import ConfigurationError, unknown_name

from .numbers import Numbers, fields_of_ffm
from .table import Side, Table
from .table_rules import TableRule, rules_of

Span = tuple[Side, int]  # whose rows, and the first of them


def find_tables(model: nn.Module, numbers: Numbers) -> Iterator[Table]:
    """Every table of users or items at least two numbers wide, in the order of the model's parameters.

    Columns of one number are biases of users or items and stay as they are.  Raises `UnknownNameError` or
    `ConfigurationError` for a declaration (`burnish_tables`) that does not fit the model.
    """
    declared = _declared(model, numbers)
    rules = rules_of(model)
    linear = _linear_of_auto_encoder(model, numbers) if rules is None else {}
    seen: set[int] = set()
    for module_name, module in model.named_modules():
        for parameter_name, parameter in module._parameters.items():
            if parameter is None or parameter.dim() != 2 or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            name = f"{module_name}.{parameter_name}" if module_name else parameter_name
            columns = False
            if declared is not None:
                columns, spans = declared.get(name, (False, []))
            elif rules is not None and name in rules:
                columns, spans = _ruled(rules[name], parameter.shape, numbers)
            elif name in linear:
                columns, spans = linear[name], [("item", 0)]
            else:
                spans = _read(model, name, module, parameter.shape[0], numbers)
            width = parameter.shape[0 if columns else 1]
            if width < 2:
                continue
            for side, first in spans:
                yield Table(name, module, parameter_name, side, first, numbers.of(side), int(width), columns)


def _ruled(rule: TableRule, shape: Sequence[int], numbers: Numbers) -> tuple[bool, list[Span]]:
    if rule.holds == "user and item":
        return False, [("user", 0), ("item", numbers.users)]
    if rule.holds == "nobody" or shape[1 if rule.columns else 0] < numbers.of(rule.holds):
        return False, []  # fewer: LDiffRec with more than one category splits and reorders the items
    return rule.columns, [(rule.holds, 0)]


def _read(model: nn.Module, name: str, owner: nn.Module, rows: int, numbers: Numbers) -> list[Span]:
    if isinstance(owner, _FUNCTIONS):
        return []
    fields = _field_offsets(model, name, owner, rows)
    if fields is not None:
        sides: dict[str, Side] = {numbers.user_field: "user", numbers.item_field: "item"}
        return [(sides[field], offset) for field, offset in fields.items() if field in sides]
    return _named(name, rows, isinstance(owner, nn.Embedding), numbers)


#: Modules whose matrices hold weights of a function, not a row for each user or item.
_FUNCTIONS = (
    nn.Linear,
    nn.RNNBase,
    nn.RNNCellBase,
    nn.modules.conv._ConvNd,
    nn.LayerNorm,
    nn.Bilinear,
    nn.MultiheadAttention,
)


# ---------------------------------------------------------------------- declared


def _declared(model: nn.Module, numbers: Numbers) -> dict[str, tuple[bool, list[Span]]] | None:
    """`burnish_tables` of a model, checked: by parameter name, (ids along columns, spans)."""
    declaration: Any = getattr(model, "burnish_tables", None)
    if declaration is None:
        return None
    if callable(declaration):
        declaration = declaration()
    parameters = dict(model.named_parameters(remove_duplicate=False))
    read: dict[str, tuple[bool, list[Span]]] = {}
    for entry in declaration:
        where = f"burnish_tables of {type(model).__name__}: {entry!r}"
        if not isinstance(entry, tuple | list) or not 2 <= len(entry) <= 3:
            raise ConfigurationError(
                f"{where}: give (parameter name, side) or (parameter name, side, first row)"
            )
        name, holds, first = (*entry, 0)[:3]
        if name not in parameters:
            raise unknown_name(f"parameter in burnish_tables of {type(model).__name__}", name, parameters)
        side, _, axis = str(holds).partition(" ")
        if side not in ("user", "item") or axis not in ("", "columns"):
            raise ConfigurationError(f"{where}: give 'user', 'item', 'user columns' or 'item columns'")
        shape = parameters[name].shape
        count = numbers.users if side == "user" else numbers.items
        ids = shape[1 if axis else 0] if len(shape) == 2 else 0
        if not isinstance(first, int) or first < 0 or first + count > ids:
            raise ConfigurationError(
                f"{where}: the parameter has shape {tuple(shape)}, and {count} {side}s from {first!r} on do not fit "
                f"its {'columns' if axis else 'rows'}"
            )
        columns, earlier = read.get(name, (bool(axis), []))
        if columns != bool(axis):
            raise ConfigurationError(f"{where}: all tables of one parameter run along the same axis")
        spans: list[Span] = [*earlier, ("user" if side == "user" else "item", first)]
        spans.sort(key=lambda span: span[1])
        for (one, start), (_, stop) in pairwise(spans):
            if start + numbers.of(one) > stop:
                raise ConfigurationError(f"{where}: overlaps another table of the same parameter")
        read[name] = (columns, spans)
    return read


# ---------------------------------------------------------------------- Linear layers


def _linear_of_auto_encoder(model: nn.Module, numbers: Numbers) -> dict[str, bool]:
    """Linear layers of an auto-encoder over items that is not RecBole's: name, and whether ids are its columns.

    Its first layer that takes as many numbers as there are items, and its last that gives as many.
    """
    from recbole.model.abstract_recommender import AutoEncoderMixin

    if not isinstance(model, AutoEncoderMixin):
        return {}
    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    into = [name for name, layer in layers if layer.in_features == numbers.items]
    out = [name for name, layer in layers if layer.out_features == numbers.items]
    columns = {f"{out[-1]}.weight": False} if out else {}
    return columns | ({f"{into[0]}.weight": True} if into else {})


# ---------------------------------------------------------------------- field tables


def _field_offsets(model: nn.Module, name: str, owner: nn.Module, rows: int) -> dict[str, int] | None:
    """First row of every token field in a matrix that holds all of them; None for any other matrix."""
    from recbole.model.layers import FMEmbedding

    if not isinstance(owner, nn.Embedding):
        return None
    path = name.split(".")[:-2]  # of the module around the embedding
    around = model.get_submodule(".".join(path))
    if isinstance(around, FMEmbedding):
        fields = _field_names(model, path)
        if fields is None:
            return {}
        return {field: int(offset) for field, offset in zip(fields, around.offsets, strict=False)}
    # FFM has a copy of the whole table for every field, with the same order of rows.
    names, sizes = getattr(model, "token_field_names", None), getattr(model, "token_field_dims", None)
    if isinstance(names, list) and isinstance(sizes, list) and names and rows == sum(sizes):
        if any(word in name for word in _UNNUMBERED):
            return None
        starts = {name: sum(sizes[:place]) for place, name in enumerate(names)}
        if name.startswith("ffm.token_embeddings."):
            # A feature is read from the copies of the other features' fields.
            field, copy = fields_of_ffm(model), int(name.split(".")[2])
            others = {one: {field.get(other) for other in field if other != one} for one in names}
            return {one: start for one, start in starts.items() if copy in others[one]}
        return starts
    return None


def _field_names(model: nn.Module, path: list[str]) -> list[str] | None:
    """The token fields of the FMEmbedding at `path`, which the layer that owns it knows."""
    owner = model.get_submodule(".".join(path[:-1]))
    names = getattr(owner, "token_field_names", None)
    if names is None and len(path) >= 2:  # a ModuleDict in between: user and item tables apart
        names = getattr(model.get_submodule(".".join(path[:-2])), "token_field_names", None)
    if isinstance(names, dict):
        names = names.get(path[-1])
    return names if isinstance(names, list) else None


# ---------------------------------------------------------------------- names

#: Parts of paths below which no row is a user or an item: values of attributes.
_UNNUMBERED = ("token_seq_embedding", "float_embedding", "float_seq_embedding")
_PLACES = frozenset({"position", "positional", "pos", "time", "timestamp", "segment", "mask", "bias"})
_KINDS = frozenset({"relation", "relations", "rel", "type", "category", "class", "genre"})
_VALUES = frozenset({"feature", "features", "attribute", "attributes", "attr"})
#: Words for what is neither, even beside the word user or item (an item's category, a user's position).
_OTHERS = _PLACES | _KINDS | _VALUES
#: More such words, in names that say neither user nor item.
_INNER = frozenset({"latent", "prototype", "prototypes", "cluster", "clusters", "intent", "pref", "factor"})
_WORD = re.compile(r"[A-Za-z][a-z]*|\d+")


def _named(name: str, rows: int, is_embedding: bool, numbers: Numbers) -> list[Span]:
    """Which users and items a matrix with that name and number of rows holds."""
    if any(part in name for part in _UNNUMBERED):
        return []
    for part in reversed(name.split(".")):
        words = {word.lower() for word in _WORD.findall(part)}
        if words & _OTHERS:
            return []
        says = _says(part.lower(), words)
        if says:
            return _fitting(says, rows, numbers)
        if words & _INNER:
            return []
    return _unnamed(rows, numbers) if is_embedding else []


def _says(part: str, words: set[str]) -> set[str]:
    says = {side for side in ("user", "item", "entit") if side in part}
    says |= {"user"} if words & {"u", "uid", "usr"} else set()
    says |= {"item"} if words & {"i", "iid"} else set()
    return says | ({"entit"} if words & {"ent"} else set())


def _fitting(says: set[str], rows: int, numbers: Numbers) -> list[Span]:
    """Rows that fit what a name says; nothing where they do not."""
    users, items, entities = numbers.users, numbers.items, numbers.entities
    if len(says) > 1:
        both = {users + items, users + (entities or items)}
        return [("user", 0), ("item", users)] if rows in both and "user" in says else []
    # One or two extra rows stand for special tokens (mask, end).
    if says == {"user"}:
        return [("user", 0)] if rows in (users, users + 1, users + 2) else []
    if says == {"item"} and rows in (items + 1, items + 2):
        return [("item", 0)]
    return [("item", 0)] if rows in (items, entities) else []


def _unnamed(rows: int, numbers: Numbers) -> list[Span]:
    """An embedding whose name says nothing: by its rows, where these leave no doubt."""
    users, items, entities = numbers.users, numbers.items, numbers.entities
    if rows == users + items or (entities and rows == users + entities):
        return [("user", 0), ("item", users)]
    if numbers.sequential and rows == items:
        return [("item", 0)]
    fits_user, fits_item = rows == users, rows in (items, entities)
    if fits_user == fits_item:
        return []
    return [("user", 0)] if fits_user else [("item", 0)]

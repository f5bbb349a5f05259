"""Refined tables: the module that owns an embedding table gets a class whose reads are refined.

The raw parameter stays where it was (same state-dict key, same optimizer entry).  Only reading changes:
`module(ids)` refines the rows looked up, `module.weight` gives the refined table.  Swapping the class catches
both, which a forward hook does not: many models read `.weight` in `full_sort_predict`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from burnish.errors import UnsupportedError

from .anatomy.table import Table
from .enhancer import Enhancer
from .own_hooks import same_rows
from .recipe import RecipeType
from .state import HostState
from .weights.reductions import plainly

_ATTRIBUTE = "_burnish_refinement"


class Refinement:
    """What happens to the rows of one parameter when they are read.

    Held by the owner module outside its registered sub-modules, so that no parameter is listed twice.
    """

    def __init__(self, spans: Sequence[tuple[Table, Sequence[Enhancer[Any]]]], state: HostState) -> None:
        self.spans = list(spans)
        self.state = state
        self._step_whole: tuple[int, Tensor] | None = None
        self._eval_whole: tuple[tuple[int, ...], Tensor] | None = None
        self._sources: list[tuple[dict[str, Any], str]] | None = None
        self._ids: dict[tuple[int, torch.device], Tensor] = {}

    def __getstate__(self) -> dict[str, Any]:
        # A graph's tensor can be neither copied nor pickled; the rest is cheap to make again.
        return {**self.__dict__, "_step_whole": None, "_eval_whole": None, "_sources": None, "_ids": {}}

    @property
    def raw(self) -> Tensor:
        """The stored parameter."""
        return self.spans[0][0].stored

    def whole(self) -> Tensor:
        """The refined parameter, all of it.

        Computed once a training step (the graph is shared) and once for unchanged parameters in evaluation.
        """
        if self.state.inside_step and torch.is_grad_enabled():
            if self._step_whole is None or self._step_whole[0] != self.state.step:
                self._step_whole = (self.state.step, self._refine_whole())
            return self._step_whole[1]
        if torch.is_grad_enabled():
            return self._refine_whole()
        key = self._versions()
        if self._eval_whole is None or self._eval_whole[0] != key:
            self._eval_whole = (key, self._refine_whole())
        return self._eval_whole[1]

    def rows(self, ids: Tensor) -> Tensor:
        """Refined rows of the parameter for any shape of `ids`: `[*ids.shape, width]`."""
        owner = self.spans[0][0].owner
        padding = getattr(owner, "padding_idx", None)
        if self._have_whole() or ids.numel() >= self.raw.shape[0]:
            return F.embedding(ids, self.whole(), padding)
        flat = ids.reshape(-1)
        rows = F.embedding(flat, self.raw, padding)
        for table, enhancers in self.spans:
            local = flat - table.first
            mine = (local > 0) & (local < table.count)
            refined = self._refine(rows, local.clamp(0, table.count - 1), table, enhancers)
            if refined is not rows:
                rows = torch.where(mine.unsqueeze(-1), refined, rows)
        return rows.reshape(*ids.shape, rows.shape[-1])

    def of_table(self, table: Table, ids: Tensor) -> Tensor:
        """Refined rows of one of the spans for user or item `ids`: `[*ids.shape, width]`."""
        if self._have_whole() or ids.numel() >= self.raw.shape[1 if table.transposed else 0]:
            whole = self.whole().t() if table.transposed else self.whole()
            return F.embedding(ids + table.first if table.first else ids, whole)
        enhancers = next(refining for one, refining in self.spans if one is table or one == table)
        flat = ids.reshape(-1)
        rows = F.embedding(flat, table.raw())
        refined = self._refine(rows, flat, table, enhancers)
        if refined is not rows:
            refined = torch.where((flat != 0).unsqueeze(-1), refined, rows)
        return refined.reshape(*ids.shape, table.width)

    def drop(self, enhancer: Enhancer[Any]) -> None:
        """Refine no longer by that enhancer; `spans` is empty when no other refines here."""
        left = [(table, [e for e in refining if e is not enhancer]) for table, refining in self.spans]
        self.spans = [(table, refining) for table, refining in left if refining]
        self._sources = None
        self.forget()

    def forget(self) -> None:
        """Drop what was computed for the last step or evaluation."""
        self._step_whole = self._eval_whole = self._sources = None

    def _have_whole(self) -> bool:
        if torch.is_grad_enabled():
            return (
                self.state.inside_step
                and self._step_whole is not None
                and self._step_whole[0] == self.state.step
            )
        return self._eval_whole is not None and self._eval_whole[0] == self._versions()

    def _refine_whole(self) -> Tensor:
        raw = self.raw
        transposed = self.spans[0][0].transposed
        source = raw.t() if transposed else raw
        parts: list[Tensor] = []
        done, changed = 0, False
        for table, enhancers in self.spans:
            # Row `first` is the padding id: it stays as it is.
            start, stop = table.first + 1, table.first + table.count
            if start > done:
                parts.append(source[done:start])
            rows = source[start:stop]
            refined = self._refine(rows, self._ids_of(table.count, source.device), table, enhancers)
            changed = changed or refined is not rows
            parts.append(refined)
            done = stop
        if not changed:
            return raw
        if done < source.shape[0]:
            parts.append(source[done:])
        whole = torch.cat(parts)
        # In the layout of the stored parameter, so that products round as they do without refinement.
        return whole.t().contiguous() if transposed else whole

    def _ids_of(self, count: int, device: torch.device) -> Tensor:
        """1, 2, ... count - 1, made once."""
        ids = self._ids.get((count, device))
        if ids is None:
            ids = self._ids[count, device] = torch.arange(1, count, device=device)
        return ids

    @staticmethod
    def _refine(rows: Tensor, ids: Tensor, table: Table, enhancers: Sequence[Enhancer[Any]]) -> Tensor:
        with plainly():
            for enhancer in enhancers:
                rows = same_rows(enhancer, "refine", enhancer.refine(rows, ids, table), rows)
        return rows

    def _versions(self) -> tuple[int, ...]:
        """Changes whenever a tensor that refined rows depend on was written to, moved or replaced.

        Writing through `.data` is invisible to it; `model.eval()` after it drops what was computed.
        """
        if self._sources is None:
            self._sources = [(self.spans[0][0].owner._parameters, self.spans[0][0].parameter)]
            modules = {id(m): m for _, enhancers in self.spans for e in enhancers for m in e.modules()}
            for module in modules.values():
                for held in (module._parameters, module._buffers):
                    self._sources += [(held, name) for name, tensor in held.items() if tensor is not None]
        versions: list[int] = []
        for held, name in self._sources:
            tensor = held[name]
            if tensor is not None:
                versions += (id(tensor), tensor.data_ptr(), tensor._version)
        return tuple(versions)


def refine_tables(
    spans: Sequence[tuple[Table, Sequence[Enhancer[Any]]]], state: HostState
) -> list[Refinement]:
    """Swap the class of every owner of these tables; the spans of one parameter are handled together.

    Raises `UnsupportedError`, before anything is changed, for an embedding whose reads have side effects.
    """
    by_parameter: dict[tuple[int, str], list[tuple[Table, Sequence[Enhancer[Any]]]]] = {}
    for table, enhancers in spans:
        _check(table)
        by_parameter.setdefault((id(table.owner), table.parameter), []).append((table, enhancers))
    refinements = []
    for group in by_parameter.values():
        group.sort(key=lambda span: span[0].first)
        refinement = Refinement(group, state)
        owner, parameter = group[0][0].owner, group[0][0].parameter
        owner.__dict__.setdefault(_ATTRIBUTE, {})[parameter] = refinement
        owner.__class__ = _refined_class(type(owner), parameter)  # type: ignore[arg-type]
        refinements.append(refinement)
    return refinements


def _check(table: Table) -> None:
    owner = table.owner
    for option in ("max_norm", "sparse", "scale_grad_by_freq"):
        if getattr(owner, option, None):
            raise UnsupportedError(
                f"table {table.name!r} is an embedding with {option}={getattr(owner, option)!r}, which changes or "
                f"rescales the stored rows behind the lookup; set it to its default to refine this table"
            )


@cache
def _refined_class(base: type[nn.Module], parameter: str) -> Any:
    """A sub-class of `base` whose `parameter` reads as the refined table.  Picklable by its two arguments."""

    def read(self: nn.Module) -> Tensor:
        return self.__dict__[_ATTRIBUTE][parameter].whole()

    body: dict[str, Any] = {parameter: property(read), "__module__": base.__module__, "__doc__": base.__doc__}
    if issubclass(base, nn.Embedding) and parameter == "weight":

        def forward(self: nn.Module, input: Tensor) -> Tensor:
            return self.__dict__[_ATTRIBUTE]["weight"].rows(input)

        body["forward"] = forward
    refined = RecipeType(base.__name__, (base,), body)
    refined.recipe = (_refined_class, (base, parameter))
    return refined


def plain_class(cls: type) -> type:
    """The class that an owner had before its tables were refined; `cls` itself where none was."""
    while isinstance(cls, RecipeType) and cls.recipe[0] is _refined_class:
        cls = cls.recipe[1][0]
    return cls


def release_owner(
    owner: nn.Module, parameters: Sequence[str] | None = None, base: type | None = None
) -> None:
    """Undo `refine_tables` on one owner, for all of its parameters or for some.

    base: the class that it gets then, its former one by default.
    """
    held: dict[str, Refinement] = owner.__dict__.get(_ATTRIBUTE, {})
    kept = [name for name in held if parameters is not None and name not in parameters]
    cls: Any = base or plain_class(type(owner))
    for name in kept:
        cls = _refined_class(cls, name)
    owner.__class__ = cls
    if kept:
        owner.__dict__[_ATTRIBUTE] = {name: held[name] for name in kept}
    else:
        owner.__dict__.pop(_ATTRIBUTE, None)


def refined_owners(model: nn.Module) -> list[nn.Module]:
    """Every module of a model that owns a refined table."""
    return [module for module in model.modules() if _ATTRIBUTE in module.__dict__]


def refined_names(owner: nn.Module) -> list[str]:
    """Names of the refined parameters of one module."""
    return list(owner.__dict__.get(_ATTRIBUTE, {}))


def refined_parameters(model: nn.Module) -> list[tuple[nn.Module, str]]:
    """Every refined parameter of a model, as its owner and its name there; `getattr` of both reads it refined."""
    return [(owner, name) for owner in refined_owners(model) for name in refined_names(owner)]

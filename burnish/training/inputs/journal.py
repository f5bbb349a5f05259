"""What RecBole's filters do to the interactions, counted, and said in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from burnish.errors import DataError

from .filters import Narrowed, filter_by_values, filter_triples
from .options import INTERVALS, check_interval

#: A share of dropped interactions above this is a warning.
TOLERATED = 0.05


@dataclass
class Journal:
    """The interactions of a data set on their way through RecBole's filters.

    dropped: how many each reason took, in the order of the filters.
    """

    name: str
    read: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    kept: int = 0
    users: int = 0
    items: int = 0
    narrowed: Narrowed = field(default_factory=Narrowed)

    def drop(self, reason: str, count: int) -> None:
        if count > 0:
            self.dropped[reason] = self.dropped.get(reason, 0) + count

    @property
    def lost(self) -> int:
        return sum(self.dropped.values())

    def reasons(self) -> str:
        """`182 dropped (180 because item_id is not in d.item; 2 because ...)`, or `none dropped`."""
        if not self.lost:
            return "none dropped"
        return (
            f"{self.lost:,} dropped ({'; '.join(f'{count:,} {why}' for why, count in self.dropped.items())})"
        )

    def line(self) -> str:
        """The summary of the data set, as a run begins with."""
        cells = self.users * self.items
        density = f"{100 * self.kept / cells:.3g}%" if cells else "-"
        return (
            f"data {self.name}: {self.read:,} interactions read, {self.reasons()}; {self.users:,} users, "
            f"{self.items:,} items, density {density}"
            + (f"; {graph}" if (graph := self.narrowed.graph()) else "")
        )

    def warnings(self) -> list[str]:
        """What to say where more than `TOLERATED` of the interactions, or of the triples of a graph, is gone."""
        graph = self.narrowed.graph()
        lost = sum(self.narrowed.lost.values())
        of_graph = [f"{self.name!r}: {graph}"] if graph and lost > TOLERATED * self.narrowed.triples else []
        return [text for text in (self.warning(), *of_graph) if text is not None]

    def warning(self) -> str | None:
        """What to say where more than `TOLERATED` of the interactions is gone."""
        if not self.read or self.lost <= TOLERATED * self.read:
            return None
        return (
            f"{100 * self.lost / self.read:.0f}% of the interactions of {self.name!r} are not used: of {self.read:,} "
            f"read, {self.reasons()}"
        )


@contextmanager
def journal_of(config: Any) -> Iterator[Journal]:
    """While this is open, RecBole's data sets say what their filters drop."""
    from recbole.data.dataset.dataset import Dataset
    from recbole.data.dataset.kg_dataset import KnowledgeBasedDataset

    journal = Journal(config["dataset"])
    with ExitStack() as stack:
        for cls, method, reasons in (
            (Dataset, "_filter_nan_user_or_item", _blank),
            (Dataset, "_remove_duplication", _said("repeat an earlier pair (rm_dup_inter)")),
            (
                Dataset,
                "_filter_by_field_value",
                lambda own: _in_turn(filter_by_values(own, journal.narrowed)),
            ),
            (Dataset, "_filter_inter_by_user_or_item", lambda own: _without_row(own, journal.narrowed)),
            (Dataset, "_filter_by_inter_num", _said("of users or items outside the inter_num_interval")),
            (KnowledgeBasedDataset, "_filter_link", lambda own: _without_entity(own, journal.narrowed)),
        ):
            _count(stack, journal, cls, method, reasons)
        _watch_triples(stack, KnowledgeBasedDataset, journal)
        _note_repeated_rows(stack, Dataset)
        _link_one_to_one(stack, KnowledgeBasedDataset)
        _refuse_a_single_item(stack, Dataset, journal)
        yield journal


#: How many rows a filter takes for each reason, asked before it runs; None: all that it takes.
Reasons = Callable[[Any], dict[str, int | None]]


def _count(stack: ExitStack, journal: Journal, cls: Any, method: str, reasons: Reasons) -> None:
    """Count the rows that a method takes."""
    inner = vars(cls)[method]

    @wraps(inner)
    def counted(self: Any) -> None:
        before = len(self.inter_feat)
        if method == "_filter_nan_user_or_item":
            journal.read = before
            for option in INTERVALS:  # by now everything is said that the files themselves give rise to
                check_interval(option, self.config[option])
        taken = reasons(self)
        inner(self)
        for reason, count in taken.items():
            journal.drop(reason, before - len(self.inter_feat) if count is None else count)

    setattr(cls, method, counted)
    stack.callback(setattr, cls, method, inner)


def _watch_triples(stack: ExitStack, dataset_class: Any, journal: Journal) -> None:
    inner = dataset_class._filter_kg_by_triple_num

    @wraps(inner)
    def watched(self: Any) -> None:
        filter_triples(self, inner, journal.narrowed)

    dataset_class._filter_kg_by_triple_num = watched
    stack.callback(setattr, dataset_class, "_filter_kg_by_triple_num", inner)


def _said(reason: str) -> Reasons:
    return lambda _: {reason: None}


def _blank(dataset: Any) -> dict[str, int | None]:
    frame = dataset.inter_feat
    names = [name for name in (dataset.uid_field, dataset.iid_field) if name is not None and name in frame]
    return _in_turn({f"with an empty {name}": frame[name].notnull() for name in names})


def _without_row(dataset: Any, narrowed: Narrowed) -> dict[str, int | None]:
    """Raises `DataError` where no interaction at all has a row."""
    if dataset.config["filter_inter_by_user_or_item"] is not True:
        return {}
    frame, name = dataset.inter_feat, dataset.dataset_name
    kept = {}
    for side, column in (("item", dataset.iid_field), ("user", dataset.uid_field)):
        table = getattr(dataset, f"{side}_feat")
        if table is None or column is None:
            continue
        taken = narrowed.ids.get(side, set()) - set(table[column])
        had_row = frame[column].isin({*table[column], *taken})
        if len(frame) and not had_row.any():
            raise _other_ids(name, column, frame[column], f"{name}.{side}", [*table[column], *sorted(taken)])
        kept[f"whose {column} has no row in {name}.{side}"] = had_row
        if taken:
            why = f"whose {column} {narrowed.options(side)} takes from {name}.{side}"
            kept[why] = ~frame[column].isin(taken)
    return _in_turn(kept)


def _in_turn(kept: dict[str, Any]) -> dict[str, int | None]:
    """How many rows each reason takes of those that the reasons before it keep."""
    counts: dict[str, int | None] = {}
    rest: Any = True
    for reason, mask in kept.items():
        counts[reason] = int((rest & ~mask).sum())
        rest = rest & mask
    return counts


def _without_entity(dataset: Any, narrowed: Narrowed) -> dict[str, int | None]:
    """Raises `DataError` where no item is linked, or no linked entity is in the graph."""
    name, column = dataset.dataset_name, dataset.iid_field
    items = set(dataset.inter_feat[column])
    if items and not items & set(dataset.item2entity):
        raise _other_ids(name, column, dataset.inter_feat[column], f"{name}.link", dataset.item2entity)
    graph = dataset.kg_feat
    entities = set(graph[dataset.head_entity_field]) | set(graph[dataset.tail_entity_field])
    mine = [entity for item, entity in dataset.item2entity.items() if item in items]
    lost = narrowed.graph()
    if mine and not entities & set(mine) and lost:
        raise DataError(
            f"{name}.kg: no {dataset.entity_field} of {name}.link is left in the graph after filtering: {lost}; widen "
            f"these filters"
        )
    if mine and not entities & set(mine):
        theirs = sorted(map(str, entities))
        raise _other_ids(name, dataset.entity_field, mine, f"{name}.kg", theirs, f"{name}.link")
    after = f" after {' and '.join(narrowed.lost)}" if lost else ""
    return {f"whose item has no entity in {name}.link and {name}.kg{after}": None}


def _other_ids(name: str, column: str, mine: Any, file: str, theirs: Any, own: str = "") -> DataError:
    def some(ids: Any) -> str:
        return ", ".join(repr(str(one)) for one in list(dict.fromkeys(ids))[:3])

    return DataError(
        f"no {column} of {own or f'{name}.inter'} ({some(mine)}, ...) is in {file} ({some(theirs)}, ...), so nothing "
        f"would be left; write the same ids into both files, or leave {file} out of load_col"
    )


def _note_repeated_rows(stack: ExitStack, dataset_class: Any) -> None:
    """Warn where a `.item` or `.user` file has several rows of one id: RecBole keeps the first."""
    inner = dataset_class._load_user_or_item_feat

    @wraps(inner)
    def loaded(self: Any, token: str, path: str, source: Any, field_name: str) -> Any:
        before = self._load_feat
        rows: list[int] = []

        def counting(*args: Any) -> Any:
            frame = before(*args)
            rows.append(0 if frame is None else len(frame))
            return frame

        self._load_feat = counting
        try:
            frame = inner(self, token, path, source, field_name)
        finally:
            del self._load_feat
        if frame is not None and rows and len(frame) < rows[-1]:
            self.logger.warning(
                f"{token}.{source.value}: {rows[-1] - len(frame)} of {rows[-1]} rows repeat an id; the first row of "
                f"each id counts"
            )
        return frame

    dataset_class._load_user_or_item_feat = loaded
    stack.callback(setattr, dataset_class, "_load_user_or_item_feat", inner)


def _link_one_to_one(stack: ExitStack, dataset_class: Any) -> None:
    """Let the last row of an item, and of an entity, count in a `.link` file, and warn: RecBole would mix the ids "
    "up."""
    inner = dataset_class._load_link

    @wraps(inner)
    def linked(self: Any, token: str, path: str) -> Any:
        by_item, by_entity = inner(self, token, path)
        pairs = {item: entity for item, entity in by_item.items() if by_entity[entity] == item}
        repeated = max(len(by_item), len(by_entity)) - len(pairs)
        if not repeated:
            return by_item, by_entity
        else:
            self.logger.warning(
                f"{token}.link: {repeated} rows repeat an item or an entity; the last row of each counts, and items "
                f"without one are left out"
            )
            return pairs, {entity: item for item, entity in pairs.items()}

    dataset_class._load_link = linked
    stack.callback(setattr, dataset_class, "_load_link", inner)


def _refuse_a_single_item(stack: ExitStack, dataset_class: Any, journal: Journal) -> None:
    """Raise `DataError` where all interactions are with one item: there is no other to compare it with."""
    inner = dataset_class._remap_ID_all

    @wraps(inner)
    def remapped(self: Any) -> None:
        name = self.iid_field
        if name is not None and name in self.inter_feat and len(self.inter_feat):
            items = self.inter_feat[name].unique()
            if len(items) == 1:
                raise DataError(
                    f"{self.dataset_name}.inter: all interactions are with one item, {name} = {str(items[0])!r} (of "
                    f"{journal.read:,} read, {journal.reasons()}), so there is nothing to choose from; give more "
                    f"items, or name another column as ITEM_ID_FIELD"
                )
        inner(self)

    dataset_class._remap_ID_all = remapped
    stack.callback(setattr, dataset_class, "_remap_ID_all", inner)

"""Settling a config's options by the table, and saying so."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import yaml

from .beside import Beside
from .case import Case
from .table import COLUMNS, OPTIONS, Values, lacks_label

logger = logging.getLogger(__name__)
#: Where a config keeps which options were settled, with the line that says so.
_KEPT = "settled_options"
_ours: ContextVar[bool] = ContextVar("config_of_burnish", default=False)


@contextmanager
def within_burnish() -> Iterator[None]:
    """While this is open, configs are burnish's: it trains by them, and says itself what was settled."""
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)


def settle(config: Any) -> None:
    """Put what the model needs and nobody gave among a config's defaults; called once these were read."""
    options = {**config.internal_config_dict, **config.external_config_dict}
    case = Case(
        config.model_class,
        options,
        frozenset(config.external_config_dict),
        files_beside(options, config.dataset),
        _ours.get(),
    )
    lines: dict[str, str] = {}
    for values, why in _settled(case):
        config.internal_config_dict.update(copy.deepcopy(dict(values)))
        lines |= {name: f"{why}: {name} is {as_text(value)}" for name, value in values.items()}
    setattr(config, _KEPT, lines)
    if not _ours.get():
        for line in lines.values():
            logger.warning(line)  # RecBole's log is not open yet


def settled_in(config: Any) -> dict[str, Any]:
    """The options of a config that were settled, with their values as they can be given."""
    return {name: copy.deepcopy(config.internal_config_dict[name]) for name in settled_lines(config)}


def settled_lines(config: Any) -> dict[str, str]:
    """A line for each option that was settled, which says which value it got and why."""
    lines: dict[str, str] = config.__dict__.get(_KEPT, {})  # of a config in an older checkpoint: none
    return lines


def as_text(value: Any) -> str:
    """A value on one line, as a YAML file has it."""
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def files_beside(options: Mapping[str, Any], dataset: str) -> Beside:
    """The files of a data set.  RecBole brings one, wherever `data_path` is."""
    if dataset == "ml-100k":
        import recbole

        folder = Path(str(recbole.__file__)).parent / "dataset_example" / dataset
    else:
        folder = Path(str(options.get("data_path") or "")) / dataset
    parts = options.get("benchmark_filename")
    texts = {
        "separator": options.get("field_separator"),
        "words": options.get("seq_separator"),
        "encoding": options.get("encoding"),
        "part": parts[0] if isinstance(parts, list | tuple) and parts else None,
    }
    return Beside(
        folder, dataset, **{name: text for name, text in texts.items() if isinstance(text, str) and text}
    )


def _settled(case: Case) -> Iterator[tuple[Values, str]]:
    """Options and the reason, row by row; what is settled is among the options of the next row."""
    case.lacked_label = lacks_label(case)
    for row in OPTIONS:
        if row.ours and not case.ours:
            continue
        values = row.values(case)
        free = {name: value for name, value in values.items() if name not in case.given}
        if free and not (row.together and len(free) < len(values)):
            case.options.update(free)
            yield free, row.why.format(model=case.name)
    columns, what = _columns(case)
    if columns:
        yield columns, f"{case.name} reads {what}"


def _columns(case: Case) -> tuple[Values, str]:
    """`load_col` with the columns that are there and would not be read, and what they are."""
    load = case.options.get("load_col")
    if "load_col" in case.given or not isinstance(load, Mapping):
        return {}, ""
    missing: dict[str, list[str]] = {}
    reasons: dict[str, list[str]] = {}
    for row in COLUMNS:
        known = missing.setdefault(row.source, [])
        for name in row.names(case):
            new = not case.loads(row.source, name) and name not in known
            if new and case.has(row.source, name):  # files are opened where it matters only
                known.append(name)
                reasons.setdefault(row.why, []).append(name)
    if not any(missing.values()):
        return {}, ""
    merged: dict[str, Any] = {}
    for source in dict.fromkeys((*load, *missing)):
        columns = load.get(source, ())
        if columns == "*":
            merged[source] = columns
            continue
        there = case.beside.columns(source)
        wanted = [name for name in dict.fromkeys((*columns, *missing.get(source, ()))) if name in there]
        key = {"user": "USER_ID_FIELD", "item": "ITEM_ID_FIELD"}.get(source)
        if wanted and key is not None:
            wanted = list(dict.fromkeys((case.column(key), *wanted)))
        if wanted:
            merged[source] = wanted
    return {"load_col": merged}, _sentence(reasons)


def _sentence(reasons: Mapping[str, Iterable[str]]) -> str:
    """`times (timestamp) and features of items (class)`."""
    parts = [f"{why} ({', '.join(names)})" for why, names in reasons.items()]
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))

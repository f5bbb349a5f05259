"""What can be read of a plan although parts of it are wrong, so that these parts and the others are told at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from pydantic import ValidationError

from burnish.own.classes import is_place
from burnish.strict import Fault, faults

from .datasets import listed_datasets
from .problems import Problems
from .schema import IN_PARTS, Plan, listed_backbones

#: So like a key that is not there is one that does not exist, where its value is read as that key's.
_MISSPELT = 0.8
#: The name of a data set that is not known; nothing is looked for in it.
_NO_DATASET = "unknown"


@dataclass
class Salvage:
    """A plan without what could not be read, and what that was.

    plan: None where nothing is left.  arms, backbones: labels of those that are not or not wholly in it; backbones is
    None where any label may be one.  dataset: whether the data set is known.
    """

    plan: Plan | None = None
    arms: set[str] = field(default_factory=set)
    backbones: set[str] | None = field(default_factory=set)
    dataset: bool = True


def salvaged(content: Mapping[str, Any], problems: Problems, *, kind: str = "key") -> Salvage:
    """Read a plan, and note what is wrong with it; what is wrong is left out, and the rest is read.

    Whether the parts go together is not asked: see `schema.check_consistent`.
    """
    rest: dict[str, Any] = _copied(content)
    for name, listed in (("backbones", listed_backbones), ("datasets", listed_datasets)):
        if name in rest:
            rest[name] = listed(rest[name])
    found = Salvage()
    for attempt in range(20):  # what stands in a misspelt block is seen once that is read
        try:
            found.plan = Plan.model_validate(rest, context=IN_PARTS)
        except ValidationError as error:
            told = faults(error, Plan, "", kind=kind)
            for one in told:
                # What lacks because it was left out is no fault of the plan.
                if not (one.missing and attempt):
                    problems.note(_unprefixed(one))
            # The last entries of lists first, so that the places of the others stay.
            for one in sorted(told, key=lambda one: [str(part).zfill(9) for part in one.place], reverse=True):
                _leave_out(rest, one, found)
        else:
            break
    return found


def _unprefixed(fault: Fault) -> Any:
    error = type(fault.error)(str(fault.error).removeprefix(": "))
    error.others = fault.error.others
    return error


def _leave_out(rest: dict[str, Any], fault: Fault, found: Salvage) -> None:
    """Take what is wrong out of a plan's content, and note of which arm or backbone it was."""
    place = fault.place[:-1] if fault.missing else fault.place
    top = str(fault.place[0]) if fault.place else ""
    if top == "arms" and len(place) > 1:
        found.arms.add(str(place[1]))
    if top == "dataset" and rest.get("datasets"):
        del rest["dataset"]
        return
    if top == "dataset":
        rest["dataset"], found.dataset = _NO_DATASET, False
        return
    if top == "backbones" and len(place) < 2:
        rest["backbones"], found.backbones = [], None
        return
    holder: Any = rest
    kept: Any = rest
    key: Any = top
    for part in place:  # as deep as the content is written out
        if not _has(holder, part):
            break
        kept, key, holder = holder, part, holder[part]
    if not _has(kept, key):
        return
    entries: Any = rest.get("backbones")
    if kept is entries and found.backbones is not None:
        found.backbones.add(_label(kept[key]))
    value = kept.pop(key)
    meant = fault.meant
    if meant is not None and key == place[-1] and meant not in kept and _like(str(key), meant):
        kept[meant] = listed_backbones(value) if meant == "backbones" else value


def _has(holder: Any, part: Any) -> bool:
    if isinstance(holder, dict):
        return part in holder
    return isinstance(holder, list) and isinstance(part, int) and part < len(holder)


def _like(key: str, meant: str) -> bool:
    return SequenceMatcher(None, key.lower(), meant.lower()).ratio() >= _MISSPELT


def _label(entry: Any) -> str:
    """The label that an entry of a backbone would have."""
    if isinstance(entry, Mapping):
        entry = entry.get("label") or entry.get("name")
    if isinstance(entry, type):
        return entry.__name__
    return str(entry).rpartition(":")[2] if is_place(entry) else str(entry)


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(one) for key, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, list) else value

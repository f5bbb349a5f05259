"""How a comparison's data are split, and whether training knows of things that happened after what is tested; and which
noise its training has."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from burnish.errors import BurnishError
from burnish.noise.kinds import KINDS
from burnish.settled.settle import files_beside
from burnish.splits import TIME
from burnish.splits.noisy_training import OPTION as NOISE
from burnish.splits.noisy_training import named

from .plan import BackboneEntry, Plan

#: Kinds of splits, and why the future leaks through them.
_LEAKS = {
    "random": "at random, although the data have times",
    "leave-one-out": "one left out of each user, at another time for each",
    "shares": "the last of each user's history, at another time for each",
}


def split_note(plan: Plan, entry: BackboneEntry) -> dict[str, Any]:
    """Which kind of split a backbone's runs have, and whether it lets the future leak; empty where options are bad.

    kind: "time", or one of `_LEAKS`.  plan: of one data set.
    """
    from burnish.enhancers.zoo import find_backbone
    from burnish.training.request import make_config

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the runs say it
        try:
            options = {**plan.options, **entry.options}
            config = make_config(find_backbone(entry.name), plan.dataset, {}, options)
        except (BurnishError, OSError):
            return {}
    if config["benchmark_filename"]:
        return {}
    kind = _kind(config["eval_args"])
    leaks = kind != TIME and (kind != "random" or _has_times(config))
    return {"kind": kind, "future": leaks}


def _has_times(config: Any) -> bool:
    """Whether the file of interactions has a column of times, be it read or not."""
    options = {**config.internal_config_dict, **config.external_config_dict}
    return config["TIME_FIELD"] in files_beside(options, config.dataset).columns("inter")


def _kind(args: Mapping[str, Any]) -> str:
    way = next(iter(args["split"]), "")
    if way == "LS":
        return "leave-one-out" if args["order"] == "TO" else "random"
    if args["order"] != "TO":
        return "random"
    ungrouped = str(args.get("group_by", "user")).lower() == "none"
    return TIME if way == "RS" and ungrouped else "shares"


def split_remarks(notes: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence for each kind of split of these comparisons that lets the future leak, with the data sets."""
    found: dict[str, list[str]] = {}
    for note in notes:
        said = note.get("split")
        if isinstance(said, Mapping) and said.get("future") and said.get("kind") in _LEAKS:
            found.setdefault(str(said["kind"]), []).append(str(note["dataset"]))
    return [
        f"Split of {', '.join(dict.fromkeys(names))}: {_LEAKS[kind]}, so training knows interactions that are later "
        f"than some that are tested (split: {TIME} leaves none)."
        for kind, names in found.items()
    ]


def noise_note(plan: Plan, entry: BackboneEntry) -> dict[str, Any]:
    """The noise among the training interactions of a backbone's runs; empty for none.  plan: of one data set."""
    noise = named({**plan.options, **entry.options}.get(NOISE))
    return {} if noise is None else noise.model_dump()


def noise_remarks(notes: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence for each noise of these comparisons, with the data sets."""
    found: dict[str, list[str]] = {}
    for note in notes:
        said = note.get(NOISE)
        if isinstance(said, Mapping):
            words = _noise_in_words(said)
            found.setdefault(words, []).append(str(note["dataset"]))
    return [f"Noise in {', '.join(dict.fromkeys(names))}: {words}" for words, names in found.items()]


def _noise_in_words(said: Mapping[str, Any]) -> str:
    how = KINDS.get(str(said.get("kind")), "of a kind that this version does not know")
    seed = "each seed has its own" if said.get("seed") is None else f"the same for all seeds ({said['seed']})"
    return (
        f"to the training interactions {100 * float(said.get('share', 0)):g}% were added that never happened, "
        f"{how}; {seed}, all arms of a seed the same. Validation and test have none."
    )

"""What a floor without a backbone is run with beside one, and whether both are then asked the same."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from burnish.errors import BurnishError, DataError
from burnish.files.whole import read_json, write_json
from burnish.own.classes import is_place
from burnish.training.cases import case_digest_of
from burnish.training.classes import own_source
from burnish.training.identity import digest
from burnish.training.inputs.heads import read_heads
from burnish.training.request import make_config

from .floors import label_of
from .plan import BackboneEntry, Plan

#: Further options that decide what is read and how it is evaluated.
_OWN = frozenset({"cold_below", "eval_memory_mib", "encoding", "split", "noise"})
#: Say nothing to a floor: the length of histories; the seed, which a run has beside its options.
_OF_BACKBONES = frozenset({"MAX_ITEM_LIST_LENGTH", "seed"})
#: Not taken over from a kind of backbones: a floor leaves known items out of its lists unless the plan says otherwise.
_ONLY_WHEN_GIVEN = frozenset({"repeatable", "seq_len", "preload_weight"})
#: How long a model is trained at most: alike for arms and for floors that are trained.
_LENGTH = ("epochs", "stopping_step", "stopping_from", "eval_step")
#: These read the same rows in the same order as a floor, with the same split.
_SAME_DATA = ("GENERAL", "TRADITIONAL")


#: Stands for all floors where data are read: they are of one kind.
_STAND_IN = "Pop"


class NotComparableError(BurnishError):
    """Floors that do not go with a backbone; the message says why."""


def floor_options(plan: Plan, entry: BackboneEntry, model: str | None = None) -> dict[str, Any]:
    """The plan's and the backbone's options that decide data, split and evaluation.

    Nothing of how a backbone is trained, so that all backbones of a plan share a floor's runs; but how long all of the
    plan's runs are, where the floor is trained.  model: None for the default floors, for which no negatives are drawn.
    """
    given = {**plan.options, **entry.options}
    kept = (_listed("general", "evaluation", "dataset") | _OWN) - _OF_BACKBONES
    own = {"train_neg_sample_args": None} if model is None else training_length(plan.options)
    return {**{name: value for name, value in given.items() if name in kept}, **own}


def training_length(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of RecBole's options that say how long a model is trained."""
    return {name: options[name] for name in _LENGTH if name in options}


def _listed(*groups: str) -> frozenset[str]:
    """RecBole's options by what they are about, as it lists them itself."""
    from recbole.utils import argument_list

    return frozenset(name for group in groups for name in getattr(argument_list, f"{group}_arguments"))


def comparable_options(
    plan: Plan, entry: BackboneEntry, model: str | None = None
) -> tuple[dict[str, Any], list[str]]:
    """The options that floors are run with beside a backbone, and what is to be said about the comparison.

    Where the backbone's kind has other defaults than floors have (a split in the order of time, ...), they are options
    of the floors.  model: a floor that is not one of the default ones.

    Raises
    ------
    NotComparableError
        Where the comparison is not about ranking, or the backbone is tested on other cases.
    BurnishError
        For options that a model cannot be configured with.
    """
    from burnish.enhancers.zoo import find_backbone

    options = floor_options(plan, entry, model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a run's own configuration says it again
        backbone = make_config(find_backbone(entry.name), plan.dataset, {}, {**plan.options, **entry.options})
        check_ranked(backbone)
        own = make_config(find_backbone(model or _STAND_IN), plan.dataset, {}, options)
    for name in sorted(_listed("evaluation", "dataset") - _OF_BACKBONES - _ONLY_WHEN_GIVEN):
        if name in backbone and backbone[name] != own[name]:
            options[name] = _there(backbone) if name == "load_col" else backbone[name]
    seed = plan.seeds_of(entry)[0]
    if not _reads_alike(backbone):
        plain = options if model is None else comparable_options(plan, entry)[0]
        _check_cases(plan, entry, plain, seed)
    return options, _remarks(label_of(model) if model else "Pop, ItemKNN and EASE", entry, backbone)


def _there(config: Any) -> Any:
    """The columns of `load_col` that are there: those that a kind of backbones names by itself need not be."""
    columns = config["load_col"]
    if not columns or "load_col" in config.external_config_dict:
        return columns
    found: dict[str, set[str]] = {}
    for head in read_heads(config):
        found[head.source] = found.get(head.source, set(head.loaded)) & set(head.loaded)
    return {
        source: [name for name in names if source not in found or name in found[source]]
        for source, names in columns.items()
    }


def check_ranked(config: Any) -> None:
    """Raise `NotComparableError` where labelled pairs are judged: floors rank a catalogue."""
    if config["eval_type"].name != "RANKING":
        raise NotComparableError(
            f"{', '.join(config['metrics'])} judge{'s' if len(config['metrics']) == 1 else ''} labelled pairs one by "
            f"one, and a floor ranks the catalogue"
        )


def _reads_alike(config: Any) -> bool:
    """Whether the backbone's data set is RecBole's plain one, so that splits are equal by construction."""
    import recbole.data.dataset as kinds

    special = hasattr(kinds, f"{config['model']}Dataset") or getattr(
        config.model_class, "dataset_class", None
    )
    return config["MODEL_TYPE"].name in _SAME_DATA and not special


def _check_cases(plan: Plan, entry: BackboneEntry, options: Mapping[str, Any], seed: int) -> None:
    """Compare the test cases of the first seed; the answer is kept, as the data have to be read and split for it."""
    from burnish.enhancers.zoo import find_backbone

    given = {**plan.options, **entry.options}
    settings = [plan.dataset, entry.name, _plain(given), _plain(options), seed]
    if is_place(entry.name):
        settings.append(own_source(find_backbone(entry.name)))
    kept = plan.runs / plan.home / "floors" / f"cases-{digest(settings)}.json"
    digests = _read(kept)
    if digests is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            digests = {
                name: case_digest_of(name, plan.dataset, {**own, "seed": seed})
                for name, own in ((entry.name, given), (_STAND_IN, options))
            }
        write_json(kept, digests)
    if digests.get(entry.name) != digests.get(_STAND_IN):
        raise NotComparableError(
            f"{entry.name} is tested on other cases under this split (one ranking for each test interaction, or other "
            f"interactions); eval_args: {{split: {{LS: valid_and_test}}, order: TO}} asks all the same where every "
            f"user has three interactions or more"
        )


def _read(path: Path) -> dict[str, str] | None:
    """The digests that were kept; None where there are none, or a damaged file."""
    try:
        digests = read_json(path, "")
    except DataError:
        return None
    return digests if isinstance(digests, dict) else None


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in ("data_path", "threads")} | {
        "data_path": os.path.abspath(options.get("data_path") or "dataset")
    }


def _remarks(floors: str, entry: BackboneEntry, config: Any) -> list[str]:
    if config["MODEL_TYPE"].name != "SEQUENTIAL":
        return []
    are, leave, do = ("are", "leave", "do") if " and " in floors else ("is", "leaves", "does")
    their = "their" if are == "are" else "its"
    return [
        f"{floors} {are} asked for the same items as {entry.label}, but {leave} known items out of {their} "
        f"lists, which {entry.label} may list, and {do} not read the validation item, which {entry.label} reads"
    ]

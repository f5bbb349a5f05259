"""Whether what is trained depends on test rows: every arm twice, on data that differ in nothing else.

In a copy of the data the items of test rows change places, at random: users, items, numbers of interactions and all of
training and validation stay as they are.  Whatever an arm trains must then be the same to the last bit.  Ours.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from burnish.errors import BurnishError, DataError
from burnish.files.processes import passing_folder
from burnish.speed.reading import numbered_rows
from burnish.training.data import load_dataset
from burnish.training.identity import split_rows
from burnish.training.request import make_config
from burnish.training.session import alone
from burnish.training.train import train
from burnish.training.trust import no_saved_data

from .floors import OF_BACKBONE
from .plan import BackboneEntry, Plan
from .specs import RunSpec, spec_of

#: Epochs of a check at most: what reads test rows does so from the first one on.
EPOCHS = 2
Verdict = Literal["sees nothing", "LEAKS", "cannot tell"]


@dataclass(frozen=True)
class Check:
    """What was found of an arm of a backbone.  why: for a person.

    backbone: after the data set, where a plan has several.
    """

    backbone: str
    arm: str
    verdict: Verdict
    why: str


def check_leaks(plan: Plan, tell: Callable[[Check], None] | None = None) -> list[Check]:
    """Check every arm of every backbone of a plan, and its floors that are enhancers, on each of its data sets.

    Each is trained two to three times.
    tell: called with each as soon as it is known.
    Raises `DataError` where the data have no test rows that could change places.
    """
    return [one for part in plan.parts() for one in _of_data_set(part, tell)]


def _of_data_set(plan: Plan, tell: Callable[[Check], None] | None) -> list[Check]:
    """plan: of one data set."""
    found: list[Check] = []
    for entry in plan.backbones:
        specs = {label: spec_of(plan, entry, label, plan.seeds_of(entry)[0]) for label in plan.arms_of(entry)}
        for name in plan.floors:
            if name in OF_BACKBONE and name not in specs:
                specs[name] = replace(specs["plain"], arm=name, enhancers={name: {}})
        with _changed(plan, entry) as (options, changed):
            for spec in specs.values():
                check = _check(spec, options, changed)
                found.append(check)
                if tell is not None:
                    tell(check)
    return found


def _check(spec: RunSpec, elsewhere: dict[str, Any], changed: str) -> Check:
    shown = f"{f'{spec.home} / ' if spec.home else ''}{spec.label}", spec.arm
    try:
        first = _trained(spec, {})
        if first == _trained(spec, elsewhere):
            return Check(*shown, "sees nothing", f"the same to the last bit, where {changed}")
        if first != _trained(spec, {}):
            return Check(*shown, "cannot tell", "two runs with the same seed on the same data differ already")
    except BurnishError as error:
        return Check(*shown, "cannot tell", str(error))
    return Check(*shown, "LEAKS", f"what it trains is another model, where {changed} and nothing else")


def _trained(spec: RunSpec, options: dict[str, Any]) -> str:
    """A digest of all that a run trains."""
    epochs = min(EPOCHS, int(spec.options.get("epochs", EPOCHS)))
    with warnings.catch_warnings(), passing_folder("leaks") as folder:
        warnings.simplefilter("ignore")
        result = train(
            spec.backbone,
            spec.dataset,
            enhancers=spec.enhancers,
            # noise avoids test rows, so it would be other noise
            options={**spec.options, "epochs": epochs, "eval_step": 1, "noise": None, **options},
            seed=spec.seed,
            folder=folder / "run",
            evaluate_test=False,
            keep_checkpoint=False,
        )
    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(result.trained.model.state_dict().items()):
        digest.update(name.encode())
        if isinstance(value, torch.Tensor):
            dense = value.detach().cpu()
            dense = dense.to_dense() if dense.layout != torch.strided else dense
            digest.update(dense.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    digest.update(repr(sorted(result.valid_result.items())).encode())
    return digest.hexdigest()


# ---------------------------------------------------------------------- other test rows


@contextmanager
def _changed(plan: Plan, entry: BackboneEntry) -> Iterator[tuple[dict[str, Any], str]]:
    """Options that read a copy of the data with other test rows, and how many are others, in words."""
    from burnish.enhancers.zoo import find_backbone

    options = {**plan.options, **entry.options, "seed": plan.seeds_of(entry)[0], "noise": None}
    with warnings.catch_warnings(), passing_folder("leaks") as place:
        warnings.simplefilter("ignore")
        config = make_config(find_backbone(entry.name), plan.dataset, {}, options)
        source, name = Path(config["data_path"]), plan.dataset
        before = _parts(entry, plan, options)
        copy = place / name
        copy.mkdir()
        for beside in source.iterdir():
            if beside.name.startswith(f"{name}."):
                (copy / beside.name).symlink_to(beside.resolve())
        listed = config["benchmark_filename"]
        file = f"{name}.inter" if listed is None else f"{name}.{listed[2]}.inter"
        (copy / file).unlink()
        keys = _keys(before[2])
        changed, of = exchanged(source / file, copy / file, config, keys, seed=options["seed"])
        elsewhere = {"data_path": str(place)}
        after = _parts(entry, plan, {**options, **elsewhere})
        if [split_rows(part) for part in before[:2]] != [split_rows(part) for part in after[:2]]:
            raise DataError(
                f"{source / file}: with other test rows the split is another one, too (filters that count "
                f"interactions do this), so nothing can be told"
            )
        yield elsewhere, f"{changed:,} of {of:,} test rows have another item"


@alone()
def _parts(entry: BackboneEntry, plan: Plan, options: dict[str, Any]) -> list[Any]:
    """The data sets of training, validation and test, as a run splits them."""
    from recbole.utils import init_seed

    from burnish.enhancers.zoo import find_backbone

    config = make_config(find_backbone(entry.name), plan.dataset, {}, options)
    init_seed(config["seed"], config["reproducibility"])
    with no_saved_data(config):
        parts = load_dataset(config).build()
    return list(parts)


def _keys(part: Any) -> Counter[tuple[str, str]]:
    """Users and items of the rows of a part, by name."""
    columns = [
        part.id2token(field, part.inter_feat[field].numpy()).tolist()
        for field in (part.uid_field, part.iid_field)
    ]
    return Counter(zip(*columns, strict=True))


def exchanged(
    source: Path, target: Path, config: Any, tests: Counter[tuple[str, str]], *, seed: int
) -> tuple[int, int]:
    """Write a file of interactions in which the items of test rows changed places; how many did, and of how many.

    tests: users and items of test rows.  A row keeps its item where nothing could take its place: where the file has
    the pair twice, where the item appears there for the first time (RecBole numbers ids as they appear), or where the
    user has the other item already.
    """
    separator, (user_field, item_field) = (
        config["field_separator"],
        (config["USER_ID_FIELD"], config["ITEM_ID_FIELD"]),
    )
    head, *rows = (cells for _, cells in numbered_rows(source, separator))
    names = [one.partition(":")[0] for one in head]
    user_at, item_at = names.index(user_field), names.index(item_field)
    pairs = Counter((row[user_at], row[item_at]) for row in rows)
    first: dict[str, int] = {}
    for number, row in enumerate(rows):
        first.setdefault(row[item_at], number)
    own_file = (
        config["benchmark_filename"] is not None
    )  # then the items have appeared in training already, or not at all
    free = [
        number
        for number, row in enumerate(rows)
        if (key := (row[user_at], row[item_at])) in tests
        and pairs[key] == 1
        and (own_file or first[row[item_at]] < number)
    ]
    random.Random(seed).shuffle(free)
    changed: set[int] = set()
    for one, other in itertools.pairwise(free):
        if one in changed or other in changed:
            continue
        (user, item), (user_2, item_2) = ((rows[at][user_at], rows[at][item_at]) for at in (one, other))
        early = own_file or max(first[item], first[item_2]) < min(one, other)
        if user == user_2 or item == item_2 or not early or pairs[user, item_2] or pairs[user_2, item]:
            continue
        rows[one][item_at], rows[other][item_at] = item_2, item
        for key, step in (
            ((user, item), -1),
            ((user_2, item_2), -1),
            ((user, item_2), 1),
            ((user_2, item), 1),
        ):
            pairs[key] += step
        changed |= {one, other}
    if not changed:
        raise DataError(f"{source}: no two test rows can exchange their items, so nothing can be told")
    # The writer quotes cells that have a separator or a quote.
    with target.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter=separator, lineterminator="\n").writerows([head, *rows])
    return len(changed), sum(tests.values())

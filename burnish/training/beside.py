"""Files beside the interactions that a run depends on, and that RecBole's options do not tell apart: a graph's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.registry import make_enhancers
from burnish.errors import BurnishError

from .asked_first import all_asked
from .identity import digest


def digest_beside(
    plain: type, enhancers: Iterable[Enhancer[Any]], dataset: str, options: Mapping[str, Any]
) -> str:
    """Eight digits of what a run, and those that are trained first for it, read beside the interactions.

    Empty where they read nothing.  What cannot be used has no part in it: the run says so.

    Parameters
    ----------
    plain
        The backbone.
    dataset
        The data set's name.
    options
        RecBole's, as they were given.
    """
    made = list(enhancers)
    found = {"": _of_run(plain, made, dataset, options)}
    try:
        for one in all_asked(made, plain):
            inner = make_enhancers(one.block)
            found[one.run.name] = _of_run(one.plain, inner, dataset, {**options, **one.own})
    except BurnishError:
        pass
    found = {name: digests for name, digests in found.items() if digests}
    return digest(found) if found else ""


def _of_run(
    plain: type, enhancers: Iterable[Enhancer[Any]], dataset: str, options: Mapping[str, Any]
) -> dict[str, str]:
    """By who reads it."""
    stem = stem_of(dataset, options)
    asked = {one.name: one.digest_beside for one in enhancers}
    if hasattr(plain, "digest_beside"):
        asked[""] = plain.digest_beside
    found = {}
    for name, ask in asked.items():
        try:
            answer = ask(stem, options)
        except BurnishError:
            continue
        if answer is not None:
            found[name] = answer
    return found


def stem_of(dataset: str, options: Mapping[str, Any]) -> Path:
    """Folder and name of a data set's files, as RecBole finds them."""
    if dataset == "ml-100k":
        import recbole

        return Path(recbole.__file__).parent / "dataset_example" / dataset / dataset
    return Path(os.fspath(options.get("data_path") or "dataset")) / dataset / dataset

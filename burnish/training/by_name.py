"""Which options a run would settle by itself, asked before it begins: they count as if somebody had given them."""

from __future__ import annotations

import copy
import json
import os
import warnings
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from burnish.errors import BurnishError
from burnish.settled import settled_in, settled_lines

from .request import make_config


def settled_options(model: str | type, dataset: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What a run of a backbone, by name or class, settles with these options; given them, it computes the same.

    Empty where options, names or data cannot be used, which the run says.
    """
    settled = dict(_settled(model, dataset, options)[0])
    ids = [options.get("USER_ID_FIELD") or "user_id", options.get("ITEM_ID_FIELD") or "item_id"]
    if isinstance(model, str) and settled.get("load_col") == {"inter": ids}:
        del settled[
            "load_col"
        ]  # runs of comparisons have always read these two columns, and are known without
    return settled


def settled_beforehand(model: str, dataset: str, options: Mapping[str, Any]) -> list[str]:
    """The lines that a run says of them."""
    return list(_settled(model, dataset, options)[1])


def _settled(
    model: str | type, dataset: str, options: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    try:
        key = json.dumps(options, sort_keys=True)
    except TypeError:
        return {}, ()
    settled, lines = _made(model, dataset, key, os.getcwd(), _stamp(dataset, options))
    return copy.deepcopy(settled), lines


def _stamp(dataset: str, options: Mapping[str, Any]) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of the files that options are settled by."""
    folder = Path(str(options.get("data_path") or "dataset")) / dataset
    try:
        files = sorted(folder.glob(f"{dataset}.*"))
        return tuple((file.name, (seen := file.stat()).st_size, seen.st_mtime_ns) for file in files)
    except OSError:
        return ()


@lru_cache(maxsize=1024)
def _made(
    model: str | type, dataset: str, options: str, here: str, stamp: tuple[tuple[str, int, int], ...]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """here, stamp: what relative names of folders are meant from, and what the files are; for the cache alone."""
    from burnish.enhancers.zoo import find_backbone

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run says it
        try:
            cls = find_backbone(model) if isinstance(model, str) else model
            config = make_config(cls, dataset, {}, json.loads(options))
        except (BurnishError, OSError):
            return {}, ()
    return settled_in(config), tuple(settled_lines(config).values())

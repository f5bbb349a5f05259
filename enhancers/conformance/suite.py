"""The two calls: every promise for one backbone, and every promise for one enhancer."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.zoo import find_backbone

from . import (  # noqa: F401  (declare their checks, in this order)
    checks_at_start,
    checks_in_training,
    checks_on_shipping,
    checks_together,
)
from .check import Check, make_checks
from .probes import Probe
from .subject import Subject

#: One backbone or two of every family: what a quick look at an enhancer runs on.
REPRESENTATIVE = (
    "BPR",
    "NeuMF",
    "LightGCN",
    "GCMC",
    "DMF",
    "MultiVAE",
    "DeepFM",
    "DIN",
    "SASRec",
    "BERT4Rec",
    "Caser",
    "KGAT",
    "MKR",
)


def check_backbone(
    backbone: str | type,
    *,
    enhancers: Sequence[Enhancer[Any]] | None = None,
    options: Mapping[str, Any] | None = None,
    category: str | None = None,
    folder: Path | None = None,
    data: str | None = None,
    expected_failed: Mapping[str, str] | None = None,
    only: Sequence[str] | None = None,
) -> Iterator[Check]:
    """Every promise of the attachment, for one backbone.

    Parameters
    ----------
    backbone
        A name, or a RecBole model class of your own, or where that is ("mine.py:Tower").
    enhancers
        What to attach; by default a probe that uses every hook (refine, loss, weights).
    options
        RecBole options, over small ones.
    category
        What kind of model your own is ("general", "sequential", "context", "knowledge", "ratings", "reviews"); it
        chooses which fields are loaded and what is measured.
    folder
        Where data and checkpoints go; by default a temporary one.
    data
        A data set inside `folder` to use in place of the synthetic one.
    expected_failed
        Checks that are known to fail, with the reason; a pass is then reported as wrong.
    only
        Names of checks; all by default (`definitions()` lists them).

    Returns
    -------
    Iterator of Check
        Call one in a test (`AssertionError` when a promise is broken), or ask for its `outcome()`.

    Raises
    ------
    UnknownNameError
        For a backbone that does not exist, and, when the first check is asked for, for a check that does not.

    Examples
    --------
    >>> from burnish.enhancers.conformance import check_backbone
    >>> for check in check_backbone("BPR", only=["attaches"]):  # doctest: +SKIP
    ...     print(check, check().status)
    BPR[probe]-attaches passed
    """
    subject = Subject(
        backbone=find_backbone(backbone),
        enhancers=tuple(enhancers) if enhancers is not None else (Probe(),),
        folder=folder or _shared_folder(),
        options=dict(options or {}),
        category=category,
        data=data,
    )
    return make_checks(subject, expected_failed or {}, tuple(only) if only is not None else None)


def check_enhancer(
    enhancer: Enhancer[Any],
    *,
    backbones: Sequence[str | type] = REPRESENTATIVE,
    options: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    expected_failed: Mapping[str, str] | None = None,
    only: Sequence[str] | None = None,
) -> Iterator[Check]:
    """Every promise of the attachment, for one enhancer on each of several backbones.

    Parameters
    ----------
    enhancer
        What to attach.
    backbones
        Names or classes; by default one or two of every family.
    options, folder, expected_failed, only
        As for `check_backbone`.

    Yields
    ------
    Check
        As of `check_backbone`.  A backbone that the enhancer refuses gives outcomes "refused", with its reason.

    Raises
    ------
    UnknownNameError
        For a backbone or check that does not exist.

    Examples
    --------
    >>> from burnish.enhancers.conformance import check_enhancer
    >>> from burnish.enhancers.registry import find_enhancer
    >>> for check in check_enhancer(find_enhancer("rvrec")(), backbones=["BPR"]):  # doctest: +SKIP
    ...     check()
    """
    for backbone in backbones:
        yield from check_backbone(
            backbone,
            enhancers=[enhancer],
            options=options,
            folder=folder,
            expected_failed=expected_failed,
            only=only,
        )


@cache
def _shared_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="burnish-conformance-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder

"""`train_neg_sample_args`: its shape, its words, and whether the model can do with what it asks for."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Collection, Mapping
from typing import Any

from burnish.errors import ConfigurationError

from .declared import is_a, misspelt

_KEYS = ("distribution", "sample_num", "alpha", "dynamic", "candidate_num")
#: A share of one in 10^9 interactions to this power is still a number.
LARGEST_POWER = 20
#: Sampled items of one row.
MOST_SAMPLES = 100_000
_DISTRIBUTIONS = ("uniform", "popularity", "none")


def check_sampling(options: Mapping[str, Any], given: Collection[str], model: type) -> None:
    """Raise where the option cannot be used; arguments as for `check_options`."""
    args = options.get("train_neg_sample_args")
    if "train_neg_sample_args" in given:
        check_sampling_shape(args)
    sampled = isinstance(args, dict) and args.get("distribution", "uniform") not in (None, "None", "none")
    if sampled:
        if _is(model, "SEQUENTIAL") and not hasattr(model, "input_type") and options.get("loss_type") == "CE":
            raise ConfigurationError(
                f"train_neg_sample_args = {args!r}, but {model.__name__} with loss_type = CE compares with every "
                f"item; say train_neg_sample_args: null (or ~), or loss_type: BPR"
            )
        return
    if reads_negatives(options, model):
        raise ConfigurationError(
            f"train_neg_sample_args = {args!r}: {model.__name__} compares each item with a sampled one (the column "
            f"neg_{options.get('ITEM_ID_FIELD')}); leave this option out, or say {{distribution: uniform, "
            f"sample_num: 1}}"
        )


def check_sampling_shape(args: Any) -> None:
    """Raise `ConfigurationError` for a value that no model could be trained with."""
    name = "train_neg_sample_args"
    if args is None or args == "None":
        return
    if not isinstance(args, dict):
        raise ConfigurationError(
            f"{name} = {args!r}: give null, or a mapping, as in {{distribution: uniform}}"
        )
    for key in args:
        if key not in _KEYS:
            raise misspelt(f"{name}: key", str(key), _KEYS)
    distribution = args.get("distribution", "uniform")
    if distribution in (None, "None"):
        return
    if distribution not in _DISTRIBUTIONS:
        raise misspelt(f"{name}.distribution =", str(distribution), _DISTRIBUTIONS)
    if distribution == "none":
        return
    if not is_a(args.get("sample_num", 1), "whole number") or args.get("sample_num", 1) < 1:
        raise ConfigurationError(
            f"{name}.sample_num = {args['sample_num']!r}: give a whole number, 1 or more"
        )
    for key in ("sample_num", "candidate_num"):
        if is_a(args.get(key), "whole number") and args[key] > MOST_SAMPLES:
            raise ConfigurationError(
                f"{name}.{key} = {args[key]!r}: so many items a row fit into no memory; give {MOST_SAMPLES} at most"
            )
    alpha = args.get("alpha", 1.0)
    if not is_a(alpha, "number"):
        raise ConfigurationError(f"{name}.alpha = {alpha!r}: give a number, the power of popularity")
    if abs(alpha) > LARGEST_POWER:
        raise ConfigurationError(
            f"{name}.alpha = {alpha!r}: popularity to this power leaves double precision; give a power from "
            f"-{LARGEST_POWER} to {LARGEST_POWER}, such as 0.75"
        )
    dynamic, candidates = args.get("dynamic", False), args.get("candidate_num", 0)
    if not isinstance(dynamic, bool):
        raise ConfigurationError(f"{name}.dynamic = {dynamic!r}: give true or false")
    if not is_a(candidates, "whole number") or candidates < (1 if dynamic else 0):
        raise ConfigurationError(
            f"{name}.candidate_num = {candidates!r}: give a whole number, and 1 or more where dynamic is true"
        )


def reads_negatives(options: Mapping[str, Any], model: type) -> bool:
    """Whether a model's loss compares with a sampled item."""
    if not mentions(model, "NEG_ITEM_ID") and not _is(model, "KNOWLEDGE"):
        return False
    kind = getattr(model, "input_type", None)
    if kind is None or (_is(model, "SEQUENTIAL") and "loss_type" in options):
        return options.get("loss_type") == "BPR"
    return kind.name == "PAIRWISE" or _is(model, "KNOWLEDGE")


def mentions(model: type, word: str) -> bool:
    """Whether the modules of a model have a word in their source.  RecBole's abstract recommenders do not count."""
    for base in model.__mro__:
        module = sys.modules.get(base.__module__)
        if module is None or "abstract_recommender" in base.__module__ or base.__module__.startswith("torch"):
            continue
        try:
            if word in inspect.getsource(module):
                return True
        except (OSError, TypeError):  # builtins, and classes typed into an interpreter
            continue
    return False


def _is(model: type, kind: str) -> bool:
    return getattr(getattr(model, "type", None), "name", None) == kind

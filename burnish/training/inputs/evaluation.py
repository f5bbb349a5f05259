"""`eval_args`, `metrics`, `topk` and `valid_metric`: their shapes and their words."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from burnish.errors import ConfigurationError

from .declared import is_a, misspelt

_PARTS = {"split", "group_by", "order", "mode"}
_LEAVE_ONE_OUT = ("valid_and_test", "valid_only", "test_only")


def check_evaluation(options: Mapping[str, Any], given: Collection[str]) -> None:
    """Raise for the first of the four options that cannot be used; `given` as for `check_options`."""
    if "metrics" in given:
        _check_metrics(options["metrics"])
    if "topk" in given:
        _check_topk(options["topk"])
    if "valid_metric" in given and not (isinstance(options["valid_metric"], str) and options["valid_metric"]):
        raise ConfigurationError(
            f"valid_metric = {options['valid_metric']!r}: give a metric, as in NDCG@10, or RMSE"
        )
    if "eval_args" in given:
        _check_eval_args(options["eval_args"])


def check_metric_name(option: str, value: Any) -> None:
    """Raise `ConfigurationError` for what no metric is called, as in NDCG@10 or RMSE, whichever are computed."""
    from recbole.evaluator.register import metric_types, metrics_dict

    name, at, k = str(value).lower().partition("@")
    if name not in metric_types:
        written = str(value).partition("@")[0]
        raise misspelt(f"{option}: metric", written, {cls.__name__ for cls in metrics_dict.values()})
    if is_cut_off(name) != k.isdigit() or bool(at) != is_cut_off(name):
        example = f"{name}@10" if is_cut_off(name) else name
        raise ConfigurationError(f"{option} = {value!r} is not how a metric is called; say {example}")


def check_computed(option: str, value: Any, metrics: Collection[str], topk: Collection[int]) -> None:
    """Raise `ConfigurationError` for a metric that is not among those that are computed.

    RecBole would fail with a bare KeyError after the first epoch.  metrics, topk: of the run's config.
    """
    wanted = str(value)
    name, at, k = wanted.lower().partition("@")
    written = {metric.lower(): metric for metric in metrics}
    if name in written and is_cut_off(name) and not k:
        named = [f"{written[name]}@{k}" for k in topk]
        raise ConfigurationError(
            f"{option} = {wanted!r}: {written[name]} is computed of the first items of a list, so say of how many: "
            f"{' or '.join(named)}"
        )
    if name in written and not is_cut_off(name) and at:
        raise ConfigurationError(
            f"{option} = {wanted!r}: {written[name]} is not computed of the first items of a list; say "
            f"{option}: {written[name]}"
        )
    if name not in written or (k and k not in {str(k) for k in topk}):
        raise ConfigurationError(
            f"{option} = {wanted!r} is not among the metrics that are computed: metrics = {list(metrics)}, topk = "
            f"{list(topk)}; choose it from these or add to them"
        )


def is_cut_off(metric: str) -> bool:
    """Whether a metric is computed of the first k items of a list, and so called as in NDCG@10."""
    from recbole.evaluator.register import metric_types

    name = metric.lower()
    # GAUC ranks, too, and takes the whole list.
    return name != "gauc" and metric_types[name].name == "RANKING"


def _check_metrics(metrics: Any) -> None:
    from recbole.evaluator.register import metric_types, metrics_dict

    known = {cls.__name__ for cls in metrics_dict.values()}
    names = [metrics] if isinstance(metrics, str) else metrics
    if not names or not is_a(names, "list of texts"):
        raise ConfigurationError(f"metrics = {metrics!r}: give at least one, as in [NDCG, Recall]")
    for name in names:
        if name.lower() not in metric_types:
            raise misspelt("metrics: metric", name, known)
    kinds = {metric_types[name.lower()].name.lower() for name in names}
    if len(kinds) > 1:
        raise ConfigurationError(
            f"metrics = {metrics!r}: some rank items and some measure values (RMSE, MAE, AUC, LogLoss); RecBole "
            f"computes one kind in a run"
        )


def _check_topk(topk: Any) -> None:
    numbers = topk if isinstance(topk, list | tuple) else [topk]
    if not numbers or not all(is_a(k, "whole number") and k > 0 for k in numbers):
        raise ConfigurationError(f"topk = {topk!r}: give whole numbers above 0, as in [5, 10]")
    if isinstance(topk, tuple):
        raise ConfigurationError(f"topk = {topk!r}: RecBole reads a list, as in {list(topk)}")


def _check_eval_args(args: Any) -> None:
    if not isinstance(args, dict):
        raise ConfigurationError(
            f"eval_args = {args!r}: give a mapping with some of {', '.join(sorted(_PARTS))}"
        )
    for key in args:
        if key not in _PARTS:
            raise misspelt("eval_args: key", str(key), _PARTS)
    if "split" in args:
        _check_split(args["split"])
    if args.get("order", "RO") not in ("RO", "TO"):
        raise misspelt(
            "eval_args.order =", str(args["order"]), ("RO", "TO"), cure="RO is random, TO the order of time."
        )
    group = args.get("group_by", "user")
    if group is not None and (not isinstance(group, str) or group.lower() not in ("user", "none")):
        raise misspelt("eval_args.group_by =", str(group), ("user", "none"))
    mode = args.get("mode", "full")
    if isinstance(mode, dict):
        for key in mode:
            if key not in ("valid", "test"):
                raise misspelt("eval_args.mode: key", str(key), ("valid", "test"))
    for one in mode.values() if isinstance(mode, dict) else [mode]:
        if not isinstance(one, str) or not re.fullmatch(r"full|labeled|(uni|pop)[1-9]\d{0,6}", one):
            raise misspelt(
                "eval_args.mode =",
                str(one),
                ("full", "labeled", "uni100", "pop100"),
                cure="The number is that of sampled items.",
            )


def _check_split(split: Any) -> None:
    known = ("RS", "LS", "TS")
    if not isinstance(split, dict) or len(split) != 1:
        raise ConfigurationError(
            f"eval_args.split = {split!r}: give one of {{RS: [0.8, 0.1, 0.1]}}, {{LS: valid_and_test}} and "
            f"{{TS: [0.8, 0.1, 0.1]}}"
        )
    name, parts = next(iter(split.items()))
    if name not in known:
        raise misspelt("eval_args.split: strategy", str(name), known)
    if name == "LS":
        if parts not in _LEAVE_ONE_OUT:
            raise misspelt("eval_args.split.LS =", str(parts), _LEAVE_ONE_OUT)
        return
    if not is_a(parts, "list of numbers") or isinstance(parts, tuple) or len(parts) != 3:
        raise ConfigurationError(
            f"eval_args.split.{name} = {parts!r}: three shares are needed, of training, validation and test, as in "
            f"[0.8, 0.1, 0.1]; 0 leaves one out, as in [0.8, 0, 0.2]"
        )
    if min(parts) < 0 or not parts[0] or (name == "TS" and not parts[2]):
        raise ConfigurationError(
            f"eval_args.split.{name} = {parts!r}: no share may be negative, and that of training must be above 0"
            + (", as must that of test" if name == "TS" else "")
        )

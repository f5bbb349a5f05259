"""RecBole's options that are given and have no effect for the model and the other options at hand."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from burnish.checks import short

from .heads import is_knowledge
from .sampling import mentions


def idle_options(config: Any, given: Collection[str]) -> dict[str, str]:
    """Why each of the given options changes nothing, as the end of "option ... has no effect ..." (see `warn_idle`).

    given: names of options that somebody wrote; defaults are RecBole's.
    """
    reasons: dict[str, str] = {}
    model, metrics = config["model"], [name.lower() for name in config["metrics"]]
    if "threshold" in given and config["threshold"] and not reads_labels(config):
        name, least = next(iter(config["threshold"].items()))
        reasons["threshold"] = (
            f"on what is trained and tested: it makes labels, and {model} takes every row for a positive one here. To "
            f"keep only some rows, say val_interval: {{{name}: '[{least},inf)'}}"
        )
    if "valid_metric_bigger" in given:
        asked = config.external_config_dict["valid_metric_bigger"]
        if asked is not config["valid_metric_bigger"]:
            better = "more" if config["valid_metric_bigger"] else "less"
            reasons["valid_metric_bigger"] = (
                f": of valid_metric = {config['valid_metric']}, {better} is better"
            )
    if "tail_ratio" in given and "tailpercentage" not in metrics:
        reasons["tail_ratio"] = "without TailPercentage among the metrics"
    if "stopping_from" in given:
        if config["MODEL_TYPE"].name in ("TRADITIONAL", "DECISIONTREE"):
            reasons["stopping_from"] = f"on {model}, whose training has no epochs to stop after"
        elif not config["eval_step"]:
            reasons["stopping_from"] = "with eval_step: 0, where nothing is validated"
    if "split" in given and config["benchmark_filename"]:
        reasons["split"] = "where benchmark_filename names the files of each part"
    if "topk" in given and config["eval_type"].name == "VALUE":
        reasons["topk"] = f"on metrics = {config['metrics']}, which list no items"
    if config["cold_below"] and "cold_below" in given and config["eval_type"].name == "VALUE":
        reasons["cold_below"] = f"on metrics = {config['metrics']}, which rank no items"
    if "MAX_ITEM_LIST_LENGTH" in given and config["MODEL_TYPE"].name != "SEQUENTIAL":
        reasons["MAX_ITEM_LIST_LENGTH"] = f"on {model}, which reads no histories"
    if "train_batch_size" in given and _trains_over_users(config.model_class):
        reasons["train_batch_size"] = (
            f"on {model}, which trains over users with all of their items; it has an option for how many a batch has"
        )
    for name in ("entity_kg_num_interval", "relation_kg_num_interval"):
        if name in given and not is_knowledge(config):
            reasons[name] = f"on {model}, which reads no knowledge graph"
    if "train_neg_sample_args" in given:
        reasons |= _of_sampling(config)
    return reasons


def reads_labels(config: Any) -> bool:
    """Whether the label of a row counts: where rows are tested as they are, or a model learns from them as such."""
    if "labeled" in config["eval_args"]["mode"].values():
        return True
    if config["train_neg_sample_args"]["distribution"] != "none":
        return False  # RecBole writes its own labels: 1, and 0 for what is sampled
    kind, of_input = config["MODEL_TYPE"].name, getattr(config["MODEL_INPUT_TYPE"], "name", None)
    if kind in ("CONTEXT", "DECISIONTREE"):
        return True
    return of_input == "POINTWISE" and mentions(config.model_class, "LABEL")


def _trains_over_users(model: type) -> bool:
    """Whether epochs go over a backbone's users: not where an enhancer's objective has its own batches."""
    from burnish.enhancers.attach import enhancers_of, split_enhanced

    plain = split_enhanced(model)[0]
    return hasattr(plain, "users_a_batch") and not any(one.replaces_loss() for one in enhancers_of(model))


def _of_sampling(config: Any) -> dict[str, str]:
    """Keys of `train_neg_sample_args` that the others switch off."""
    args = config.external_config_dict["train_neg_sample_args"]
    used = config["train_neg_sample_args"]
    given = _given_keys(args)
    reasons: dict[str, str] = {}
    if used["distribution"] == "none":
        rest = given - {"distribution"}
        return {f"train_neg_sample_args.{name}": "with distribution: none" for name in sorted(rest)}
    if "candidate_num" in given and used["candidate_num"] and not used["dynamic"]:
        reasons["train_neg_sample_args.candidate_num"] = "without dynamic: true"
    if "alpha" in given and used["alpha"] != 1 and used["distribution"] != "popularity":
        reasons["train_neg_sample_args.alpha"] = "without distribution: popularity, whose power it is"
    return reasons


def _given_keys(args: Any) -> set[str]:
    """Keys with a value of their own: Config writes its defaults into the mapping, too."""
    defaults = {"sample_num": 1, "alpha": 1.0, "dynamic": False, "candidate_num": 0}
    return (
        {name for name, value in args.items() if value != defaults.get(name)}
        if isinstance(args, dict)
        else set()
    )


def told(name: str, reason: str, value: Any) -> str:
    """The sentence of a warning."""
    gap = "" if reason.startswith(":") else " "
    return f"option {name!r} = {short(value)} has no effect{gap}{reason}"

"""Options without effect for the model and the other options at hand are said, and those with one are not."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from burnish.enhancers.zoo import find_backbone, list_backbones
from burnish.errors import BurnishError, ConfigurationError
from burnish.training.options import shared_options, unknown_options
from burnish.training.request import make_config

POPULAR = {"distribution": "popularity", "alpha": 0.5}
SAMPLED = {
    "train_neg_sample_args": {"distribution": "uniform", "sample_num": 1},
    "eval_args": {"mode": "full"},
}
RATED = {"load_col": {"inter": ["user_id", "item_id", "rating"]}, "threshold": {"rating": 4}, "topk": [5, 10]}
RANKED = {"metrics": ["NDCG"], "valid_metric": "NDCG@10"}


def said(world: Any, model: str, options: dict[str, Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make_config(find_backbone(model), "d", {}, world.options(model, options))
    return [
        str(one.message)
        for one in caught
        if "no effect" in str(one.message) and "MAX_ITEM" not in str(one.message)
    ]


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        ("BPR", {"threshold": {"rating": 4}}, "BPR takes every row .* val_interval: {rating: '[4,inf)'}"),
        ("NeuMF", {**RATED, **RANKED, **SAMPLED}, "option 'threshold' = {'rating': 4} has no effect"),
        (
            "FM",
            {"threshold": {"rating": 4}, **SAMPLED, **RANKED},
            "FM takes every row for a positive one here",
        ),
        (
            "BPR",
            {"valid_metric_bigger": False},
            "'valid_metric_bigger' = False has no effect: .* more is better",
        ),
        ("FM", {"valid_metric": "LogLoss", "valid_metric_bigger": True}, "LogLoss, less is better"),
        (
            "BPR",
            {"loss_type": "XE"},
            "option 'loss_type' is read by other models of RecBole's and not by BPR",
        ),
        ("BPR", {"mlp_hidden_size": [8]}, "'mlp_hidden_size' is read by other models"),
        ("EASE", {"n_layers": 2}, "'n_layers' is read by other models"),
        (
            "BPR",
            {"train_neg_sample_args": {"candidate_num": 5}},
            "args.candidate_num' = 5 .* without dynamic: true",
        ),
        (
            "BPR",
            {"train_neg_sample_args": {"alpha": 0.5}},
            "args.alpha' = 0.5 .* without distribution: popularity",
        ),
        ("FM", {"train_neg_sample_args": {"distribution": None, "sample_num": 3}}, "args.sample_num' = 3"),
        ("BPR", {"tail_ratio": 0.2}, "without TailPercentage among the metrics"),
        ("FM", {"topk": [5]}, "which list no items"),
        ("BPR", {"entity_kg_num_interval": "[5,inf)"}, "which reads no knowledge graph"),
    ],
)
def test_without_effect(world: Any, model: str, options: dict[str, Any], says: str) -> None:
    (text,) = said(world, model, options)
    for part in says.split(" .* "):
        assert part in text


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("FM", {"threshold": {"rating": 3}}),
        ("NeuMF", {**RATED, **RANKED, "train_neg_sample_args": None, "eval_args": {"mode": "full"}}),
        ("BPR", {"valid_metric_bigger": True}),
        ("SASRec", {"loss_type": "CE", "n_layers": 1, "MAX_ITEM_LIST_LENGTH": 5}),
        ("BPR", {"train_neg_sample_args": POPULAR}),
        ("BPR", {"train_neg_sample_args": {"dynamic": True, "candidate_num": 3}}),
        ("BPR", {"tail_ratio": 0.2, "metrics": ["TailPercentage"], "valid_metric": "TailPercentage@10"}),
        ("CKE", {"entity_kg_num_interval": "[0,inf)"}),
    ],
)
def test_with_effect(world: Any, model: str, options: dict[str, Any]) -> None:
    assert said(world, model, options) == []


def test_histories_that_nobody_reads(world: Any) -> None:
    with pytest.warns(
        UserWarning, match="'MAX_ITEM_LIST_LENGTH' = 5 has no effect on BPR, which reads no histories"
    ):
        make_config(find_backbone("BPR"), "d", {}, world.options("BPR", {"MAX_ITEM_LIST_LENGTH": 5}))


def test_options_for_other_models_of_a_comparison(world: Any) -> None:
    """Where one of several models may read an option, it gives no warning for the others; for a single one it does."""
    options = {"threshold": {"rating": 4}}
    models = [find_backbone("BPR"), find_backbone("FM")]
    with shared_options(options, models):
        assert said(world, "BPR", options) == []
    with shared_options(options, models[:1]):
        assert len(said(world, "BPR", options)) == 1
    says = "'n_layers' is read by other models of RecBole's and not by BPR, FM: it has no effect"
    with pytest.warns(UserWarning, match=says), shared_options(["n_layers"], models):
        pass


def test_no_model_is_said_not_to_read_its_own_options() -> None:
    import importlib

    from burnish.training.inputs.declared import declared_options
    from burnish.training.options import _READ

    tried = 0
    for name in list_backbones():
        try:
            model = find_backbone(name)
        except BurnishError:  # its package is not installed
            continue
        own = set(declared_options(model))
        module = importlib.import_module(model.__module__)
        text = open(str(module.__file__), encoding="utf-8").read()  # noqa: SIM115
        own |= {first or second for first, second in _READ.findall(text)}
        assert (
            unknown_options(own - ({"loss_type"} if hasattr(model, "input_type") else set()), model) == {}
        ), name
        tried += 1
    assert tried > 80


@pytest.mark.parametrize("name", ["eval_args", "seed", "val_interval", "model"])
def test_a_base_has_the_split_of_its_run(world: Any, name: str) -> None:
    value = {"eval_args": {"split": {"LS": "valid_and_test"}}, "val_interval": {"rating": "[2,inf)"}}.get(
        name, 3
    )
    guided = {"fields": ["price"], "base": "auto", "base_options": {"epochs": 1, name: value}}
    with pytest.raises(ConfigurationError, match=rf"guided: base_options\.{name}: the base is trained on"):
        world.train(enhancers={"guided": guided})

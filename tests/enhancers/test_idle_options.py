"""An option without effect in its setting is told, and what is told is true: training ends in the same bits."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from guided_world import quiet_training, quiet_world, write_world

from burnish import Euclid2d, Guided, RVRec, Shapley
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.guided.lora.options import LoraOptions
from burnish.enhancers.registry import make_enhancers
from burnish.errors import ConfigurationError

Options = Mapping[str, Any]
PCA: Options = {"control": "pca", "base": "model"}
OFF: Options = {"weight": 0.0}
IN_RUN: Options = {"values": "in-run", "warmup_epochs": 1, "refresh": 1}
WHOLE: Options = {"objective": True}
EQUAL: Options = {"objective": True, "spread": "none"}
SEEN: Options = {"objective": True, "spread": "count", "spread_role": "negatives"}
PROFILE: Options = {"values": "profile", "warmup_epochs": 1, "refresh": 1}
REGRESSION: Options = {"values": "regression", "warmup_epochs": 1}
SCORE: Options = {"control": "score", "warmup_epochs": 1}
NO_VALUES: Options = {"beta": 0.0, "beta_popularity": 0.5, "warmup_epochs": 1}
POPULAR: Options = {"control": "popularity", "warmup_epochs": 1, "refresh": 1}

#: Enhancer, backbone, what is set beside, the option, its value: the warning says so, and nothing changes.
IDLE: list[tuple[type[Enhancer[Any]], str, Options, str, Any]] = [
    (Guided, "BPR", {}, "balance", 3.0),
    (Guided, "BPR", {}, "seed", 5),
    (Guided, "BPR", {"users": False}, "weight", 0.7),
    (Guided, "SASRec", {}, "weight", 0.7),
    (Guided, "BPR", PCA, "weight", 0.7),
    (Guided, "BPR", PCA, "balance", 3.0),
    (Guided, "BPR", PCA, "learn_alpha", False),
    (Guided, "BPR", PCA, "weigh_by_value", True),
    (Guided, "BPR", PCA, "shrinkage", 50.0),
    (Guided, "BPR", PCA, "clip", 0.5),
    (Guided, "BPR", PCA, "seed", 5),
    *(
        (Guided, "BPR", {"control": c, "base": "model"}, "user_scores", "users.tsv")
        for c in ("pca", "random")
    ),
    (Guided, "BPR", {"control": "permuted"}, "user_scores", "users.tsv"),
    (Guided, "SASRec", {}, "user_scores", "users.tsv"),
    *(
        (RVRec, "BPR", OFF, name, value)
        for name, value in {
            "temperature": 2.0,
            "learn_temperature": False,
            "sample": 7,
            "negatives": 7,
            "similarity": "distance",
            "direction": "user",
            "log_q": False,
            "mask_known": False,
            "weighted": True,
            "initial_spread": 3.0,
            "history": 3,
            "budget_mib": 1,
            "guard": 0.9,
        }.items()
    ),
    (Euclid2d, "BPR", OFF, "temperature", 2.0),
    *(
        (cls, "BPR", WHOLE, name, value)
        for cls in (RVRec, Euclid2d)
        for name, value in {
            "weight": 0.7,
            "learn_temperature": False,
            "sample": 7,
            "negatives": 7,
            "direction": "user",
            "log_q": False,
            "weighted": True,
            "site": "output",
            "strength": 0.5,
            "hidden": 5,
            "history": 3,
        }.items()
    ),
    *(
        (RVRec, "BPR", {}, name, value)
        for name, value in {
            "users": 7,
            "newcomers": "own",
            "own_loss": 0.5,
            "rest": "drop",
            "score": "w2",
            "spread": "free",
            "spread_role": "both",
            "beta": 2.0,
        }.items()
    ),
    *(
        (RVRec, "BPR", EQUAL, name, value)
        for name, value in {
            "guard": 0.9,
            "initial_spread": 3.0,
            "spread_role": "both",
            "beta": 2.0,
            "score": "w2",
        }.items()
    ),
    (RVRec, "BPR", WHOLE, "similarity", "distance"),
    (RVRec, "BPR", WHOLE, "beta", 2.0),
    (RVRec, "BPR", SEEN, "guard", 0.9),
    (RVRec, "BPR", SEEN, "initial_spread", 3.0),
    (RVRec, "BPR", {**WHOLE, "spread_role": "distance"}, "beta", 2.0),
    (RVRec, "BPR", {}, "experimental", True),
    (RVRec, "BPR", {}, "history", 3),
    (RVRec, "SASRec", {}, "history", 3),
    (RVRec, "BPR", {}, "weighted", True),
    (Shapley, "BPR", PROFILE, "in_run_share", 0.9),
    (Shapley, "BPR", IN_RUN, "folds", 2),
    (Shapley, "BPR", IN_RUN, "repeats", 3),
    (Shapley, "BPR", IN_RUN, "centre", False),
    (Shapley, "BPR", IN_RUN, "normalise", False),
    *(
        (Shapley, "BPR", POPULAR, name, value)
        for name, value in {
            "values": "both",
            "folds": 2,
            "repeats": 3,
            "centre": False,
            "normalise": False,
            "smoothing": 0.1,
            "seed": 5,
            "beyond_popularity": False,
        }.items()
    ),
    *(
        (Shapley, "BPR", beside, name, value)
        for beside in (REGRESSION, SCORE, NO_VALUES)
        for name, value in {
            "folds": 2,
            "repeats": 3,
            "centre": False,
            "normalise": False,
            "in_run_share": 0.9,
            "smoothing": 0.1,
            "refresh": 1,
            "seed": 5,
        }.items()
    ),
    *((Shapley, "BPR", beside, "values", "joint") for beside in (SCORE, NO_VALUES)),
    *((Shapley, "BPR", NO_VALUES, "control", value) for value in ("matched", "popularity", "score")),
    (Shapley, "BPR", NO_VALUES, "beyond_popularity", False),
    (Shapley, "BPR", {"control": "popularity", "warmup_epochs": 1}, "refresh", 1),
    (Shapley, "BPR", {"values": "in-run", "warmup_epochs": 1, "control": "popularity"}, "in_run_share", 0.9),
    *((Shapley, "BPR", {**PROFILE, "beta": 0.0}, n, v) for n, v in (("low", 0.5), ("high", 2.0))),
    (Shapley, "BPR", {**PROFILE, "beta": 0.0}, "control", "permuted"),
    (Shapley, "LightGCN", {**PROFILE, "beta": 0.0}, "propagate", True),
]

#: The same options where they count: no warning, and training ends elsewhere.
AT_WORK: list[tuple[type[Enhancer[Any]], str, Options, str, Any]] = [
    (Guided, "BPR", {"base": "model"}, "balance", 3.0),
    (Guided, "BPR", {"control": "random"}, "seed", 5),
    (Guided, "BPR", {}, "weight", 50.0),
    (Guided, "BPR", {"base": "model"}, "learn_alpha", False),
    (Guided, "BPR", {}, "shrinkage", 50.0),
    (Guided, "BPR", {}, "clip", 0.5),
    (Guided, "BPR", {}, "user_scores", "users.tsv"),
    (Guided, "BPR", PCA, "users", False),
    (RVRec, "BPR", {}, "temperature", 2.0),
    (RVRec, "BPR", {}, "guard", 0.9),
    (RVRec, "BPR", {}, "initial_spread", 3.0),
    (RVRec, "BPR", WHOLE, "temperature", 0.3),
    (RVRec, "BPR", {**WHOLE, "spread_role": "distance"}, "similarity", "distance"),
    (Euclid2d, "BPR", WHOLE, "similarity", "distance"),
    (RVRec, "BPR", WHOLE, "users", 7),
    (RVRec, "BPR", WHOLE, "own_loss", 0.5),
    (RVRec, "BPR", SEEN, "beta", 2.0),
    (RVRec, "BPR", {**WHOLE, "spread": "free", "spread_role": "distance"}, "guard", 0.9),
    (RVRec, "BPR", {**WHOLE, "spread": "free", "spread_role": "distance"}, "initial_spread", 3.0),
    (Euclid2d, "BPR", WHOLE, "initial_spread", 3.0),
    (Shapley, "BPR", PROFILE, "folds", 2),
    (Shapley, "BPR", PROFILE, "normalise", False),
    (Shapley, "BPR", IN_RUN, "in_run_share", 0.9),
    (Shapley, "BPR", PROFILE, "seed", 5),
    (Shapley, "BPR", PROFILE, "beyond_popularity", False),
    (Shapley, "BPR", SCORE, "beyond_popularity", False),
    (Shapley, "BPR", POPULAR, "low", 0.9),
    (Shapley, "BPR", POPULAR, "beta_popularity", -0.3),
    *((Shapley, "BPR", {**REGRESSION, "control": one}, "seed", 5) for one in ("permuted", "matched")),
    (Shapley, "BPR", NO_VALUES, "control", "permuted"),
    (Shapley, "BPR", {**NO_VALUES, "control": "permuted"}, "seed", 5),
    (Shapley, "BPR", NO_VALUES, "high", 1.2),
    (Shapley, "BPR", {**PROFILE, "values": "both"}, "in_run_share", 0.9),
]


def named(case: tuple[type[Enhancer[Any]], str, Options, str, Any]) -> str:
    cls, backbone, beside, option, _ = case
    return "-".join([cls.name, backbone, *(f"{name}={value}" for name, value in beside.items()), option])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("world")
    write_world(made)
    lines = ["user_id\tpace\twit", *(f"u{n}\t{n % 10}\t{n * 7 % 10}" for n in range(1, 30))]
    (made / "users.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return made


def made(cls: type[Enhancer[Any]], folder: Path, options: Options) -> Enhancer[Any]:
    options = {n: str(folder / v) if n == "user_scores" else v for n, v in options.items()}
    if cls is Guided:
        options = {"scores": str(folder / "scores.tsv"), **options}
    return cls(**options)


def trained(
    cls: type[Enhancer[Any]], backbone: str, folder: Path, options: Options
) -> dict[str, torch.Tensor]:
    """The backbone's own tables after two epochs, as others see them: refined."""
    world = quiet_training(
        quiet_world(backbone, folder, made(cls, folder, options), options={"epochs": 2, "stopping_step": 9})
    )
    return {
        name: value
        for name, value in world.model.state_dict().items()
        if ".attached." not in name and value.is_floating_point()
    }


@cache
def without(
    cls: type[Enhancer[Any]], backbone: str, folder: Path, options: tuple[tuple[str, Any], ...]
) -> Any:
    return trained(cls, backbone, folder, dict(options))


def told(caught: list[warnings.WarningMessage], option: str) -> list[str]:
    """What is said of an option, but for users.tsv's split, which is another test's affair."""
    said = [str(one.message) for one in caught if f": {option} = " in str(one.message)]
    return [text for text in said if "which training rows" not in text]


@pytest.mark.parametrize("case", IDLE, ids=map(named, IDLE))
def test_an_option_without_effect_is_told_and_has_none(folder, case) -> None:
    cls, backbone, beside, option, value = case
    plain = without(cls, backbone, folder, tuple(sorted(beside.items())))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = trained(cls, backbone, folder, {**beside, option: value})
    (message,) = told(caught, option)
    assert f"enhancer '{cls.name}'" in message
    assert "has no effect" in message
    assert "leave it out" in message
    for name, tensor in plain.items():
        assert torch.equal(tensor, found[name]), name


@pytest.mark.parametrize("case", AT_WORK, ids=map(named, AT_WORK))
def test_where_it_has_an_effect_nothing_is_told(folder, case) -> None:
    cls, backbone, beside, option, value = case
    plain = without(cls, backbone, folder, tuple(sorted(beside.items())))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = trained(cls, backbone, folder, {**beside, option: value})
    assert not told(caught, option)
    assert any(not torch.equal(tensor, found[name]) for name, tensor in plain.items())


@pytest.mark.parametrize(
    ("cls", "backbone"),
    [(Guided, "BPR"), (Guided, "SASRec"), (RVRec, "BPR"), (Euclid2d, "BPR"), (Shapley, "BPR")],
)
def test_nobody_is_told_of_defaults(folder, cls: type[Enhancer[Any]], backbone: str) -> None:
    defaults = cls.Config().model_dump() if cls is not Guided else {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quiet_world(backbone, folder, made(cls, folder, defaults), options={"epochs": 9})
    assert not [one for one in caught if "no effect" in str(one.message)]


def test_a_weight_that_another_enhancer_gives_is_at_work(folder) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quiet_world("BPR", folder, RVRec(weighted=True), Shapley(warmup_epochs=1))
    assert not told(caught, "weighted")


def test_one_is_told_once_and_at_the_line_that_gave_the_option() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (enhancer,) = make_enhancers({"guided": {"balance": 2.0}})
        enhancer.fresh()
    assert [one.filename for one in caught] == [__file__]


def test_shapley_that_never_begins_is_told(folder) -> None:
    with pytest.warns(UserWarning, match=r"warmup_epochs = 3 is not below epochs = 2"):
        trained(Shapley, "BPR", folder, {})


def test_alpha_that_stays_at_nothing_is_refused_with_the_cure() -> None:
    with pytest.raises(
        ConfigurationError, match=r"learn_alpha: false without a base.*give a base, such as auto"
    ):
        Guided(learn_alpha=False)
    for base in ("auto", "model", "folder"):
        assert Guided(learn_alpha=False, base=base).config.learn_alpha is False


def test_every_option_of_these_enhancers_is_one_of_these_cases_or_always_counts() -> None:
    """A new option must be thought of: where has it no effect?"""
    #: Told where labels are divided: test_positives.py.
    elsewhere = {"positive_from"}
    always = {
        "guided": {
            "scores",
            "fields",
            "attributes",
            "base",
            "base_options",
            "control",
            "users",
            "learn_alpha",
        },
        "rvrec": {"weight", "site", "strength", "hidden", "covariance", "objective"},
        "shapley": {"warmup_epochs", "beta", "beta_popularity", "weighs_by"},
    }
    for cls in (Guided, RVRec, Shapley):
        cases = {option for one, _, _, option, _ in IDLE if one is cls}
        assert set(cls.Config.model_fields) - cases - always[cls.name] - elsewhere == set()


@pytest.mark.parametrize(("name", "value"), [("held_out_users", 5), ("patience", 3)])
def test_options_of_tuning(name: str, value: int) -> None:
    assert list(LoraOptions(held_out=0.0, **{name: value}).idle()) == [name]
    assert LoraOptions(**{name: value}).idle() == {}

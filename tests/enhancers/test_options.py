"""Options of enhancers that came and went: files of before are read, and runs of before are continued."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path

import pytest

from burnish import RVRec, Shapley, enhance
from burnish.benchmarks.harness.specs import RunSpec
from burnish.cli.enhancers import type_of
from burnish.enhancers.attach import enhanced_class, recipe_of, split_enhanced
from burnish.enhancers.registry import find_enhancer, list_enhancers, make_enhancers
from burnish.enhancers.zoo import find_backbone
from burnish.errors import ConfigurationError, UnknownNameError
from burnish.training import identity
from burnish.training.first import FirstRequest


def test_shapley_has_no_weight_and_reads_files_that_had_one() -> None:
    now = Shapley(beta=0.7)
    assert "weight" not in now.config.model_dump()
    with pytest.warns(UserWarning, match=r"weight = 2\.0 has no effect here and is not an option any more"):
        (before,) = make_enhancers({"shapley": {"weight": 2.0, "beta": 0.7}})
    assert before.config == now.config
    assert now.loss_weight == 1.0
    with pytest.raises(UnknownNameError, match=r"option 'weigth' is not known"):
        Shapley(weigth=1.0)


def test_a_pickle_of_before_gives_the_class_of_now() -> None:
    base = find_backbone("BPR")
    enhanced = enhance("BPR", RVRec(), Shapley())
    of_before = []
    for cls, options in recipe_of([RVRec(), Shapley()]):
        former = json.loads(options)
        former.pop("experimental", None)
        if cls is Shapley:
            former = {"weight": 1.0, **former}
        of_before.append((cls, json.dumps(former)))
    assert enhanced_class(base, tuple(of_before)) is enhanced
    assert pickle.loads(pickle.dumps(enhanced)) is enhanced
    assert split_enhanced(enhanced)[1] == recipe_of([RVRec(), Shapley()])


def test_full_covariance_asks_for_consent() -> None:
    with pytest.warns(UserWarning, match=r"enhancer 'rvrec': covariance = 'full'.*experimental: true"):
        assert RVRec(covariance="full").config.covariance == "full"  # runs of before say no more than that
    assert RVRec(covariance="full", experimental=True).config.covariance == "full"
    (diagonal,) = make_enhancers({"rvrec": {"covariance": "diagonal"}})
    assert diagonal.config == RVRec().config


@pytest.mark.parametrize(
    ("enhancers", "digest"),
    [
        ({"shapley": {"warmup_epochs": 1, "beyond_popularity": False, "values": "profile"}}, "52ce577f"),
        ({"shapley": {"warmup_epochs": 1, "beyond_popularity": False, "values": "cross-fit"}}, "52ce577f"),
        ({"rvrec": {"weight": 0.3}}, "96851351"),
        ({"euclid2d": {}}, "9a4915fc"),
        ({"rvrec": {}, "shapley": {"values": "profile", "beyond_popularity": False}}, "ab77e9fc"),
    ],
)
def test_runs_of_a_comparison_are_found_again(enhancers: dict[str, dict[str, object]], digest: str) -> None:
    """Recorded before options were taken away or added that change no result."""
    assert RunSpec("ml-100k", "BPR", "BPR", "arm", 1, enhancers, {"epochs": 3}).digest == digest


#: Digests of a run with each enhancer as its first version recorded them; `aggregate` then gave hops to both sides.
FIRST = {
    "aggregate": ({"sides": "both"}, "c5101fca"),
    "average": ({}, "6bb02f44"),
    "clean": ({}, "8a5c9976"),
    "compress": ({}, "22304bbf"),
    "distil": ({}, "3667913b"),
    "euclid2d": ({}, "10d60983"),
    "guided": ({}, "567746ae"),
    "paths": ({}, "51b92c97"),
    "prior": ({}, "ab3ad49c"),
    "rvrec": ({}, "7abd54c0"),
    "shapley": ({"values": "cross-fit"}, "13f496ca"),
    "softmax": ({}, "a57c4b17"),
}
SHIPPED = [name for name, one in list_enhancers().items() if one.source == "burnish"]


def digest_of(block: dict[str, dict[str, object]]) -> str:
    return RunSpec("ml-100k", "BPR", "BPR", "a", 2020, block, {}).digest


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SHIPPED)
def test_options_that_came_later_leave_digests_where_results_are_as_before(name: str) -> None:
    config = find_enhancer(name).Config
    options, digest = FIRST[name]
    before = {**options, **config.later}
    assert not config.later.keys() & config(**before).decisive().keys()
    assert digest_of({name: before}) == digest


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SHIPPED)
def test_options_that_came_later_are_told_where_results_are_others(name: str) -> None:
    """At their defaults, too, where these are not as before."""
    config = find_enhancer(name).Config
    told = {option for option, value in config.later.items() if getattr(config(), option) != value}
    assert told <= config().decisive().keys()
    assert (digest_of({name: {}}) == FIRST[name][1]) == (not told and not FIRST[name][0])


@pytest.mark.filterwarnings("ignore")
def test_runs_of_between_are_not_taken_for_others() -> None:
    """For a time, newcomers at `mean` were left out, and other options that came later were written out."""

    def of_then(block: dict[str, dict[str, object]]) -> str:
        settings = {"protocol": 1, "dataset": "ml-100k", "backbone": "BPR", "options": {}, "seed": 2020}
        return identity.digest({**settings, "enhancers": block, "test": True})

    for name, at in (
        ("softmax", {"base": "auto", "base_options": {"epochs": 3}}),
        ("softmax", {}),
        ("compress", {}),
    ):
        now = find_enhancer(name).Config(**at, newcomers="own")
        full = now.model_dump(mode="json")
        # What a run had then whose newcomers were scored by the mean.
        mean = {option: value for option, value in full.items() if option != "newcomers"}
        mean = {option: value for option, value in mean.items() if option != "base" or value is not None}
        assert of_then({name: now.decisive()}) == digest_of({name: {**at, "newcomers": "own"}})
        assert of_then({name: mean}) not in (
            digest_of({name: {**at, "newcomers": newcomers}}) for newcomers in ("own", "mean")
        )


def test_popularity_as_shapleys_control_is_the_run_that_it_was() -> None:
    """Nothing is taken out of it; of the other controls it is."""
    for control in ("popularity", "permuted"):
        then, now = ({"control": control, "beyond_popularity": beyond} for beyond in (False, True))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert (digest_of({"shapley": then}) == digest_of({"shapley": now})) == (control == "popularity")


def test_an_objective_tells_all_of_its_options() -> None:
    """Some of their defaults changed while they were left out at these."""
    told = RVRec(objective=True).config.decisive()
    assert {"users", "newcomers", "own_loss", "rest", "score", "spread", "spread_role", "beta"} <= told.keys()
    assert (told["temperature"], told["initial_spread"]) == (0.2, 0.3)


@pytest.mark.parametrize(
    ("asks", "options"),
    [
        ("aggregate", {"base": "softmax"}),
        ("prior", {"base": "softmax+average"}),
        ("distil", {"teachers": "softmax"}),
        ("compress", {"teachers": {"softmax+average+aggregate": None}}),
        (
            "compress",
            {"teachers": "compress", "teacher_options": {"compress": {"compress.teachers": "softmax"}}},
        ),
    ],
)
def test_a_changed_default_of_what_is_trained_first_is_another_run(
    asks: str, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def digests() -> list[str]:
        (made,) = make_enhancers({asks: options})
        request = FirstRequest(enhance("BPR", made), "d", (), {})
        return [digest_of({asks: options}), request.digest()]

    before = digests()
    fields = find_enhancer("softmax").Config.model_fields
    monkeypatch.setattr(fields["users"], "default", 65)
    assert find_enhancer("softmax").Config.model_rebuild(force=True)
    try:
        assert all(one != other for one, other in zip(before, digests(), strict=True))
    finally:
        monkeypatch.undo()
        find_enhancer("softmax").Config.model_rebuild(force=True)
    assert digests() == before


SINGLE = "give a number from 0.0001 to 1000.*single precision"


@pytest.mark.parametrize("value", [0, -1.0, 1e-42, 1e-5, 2e4, 1e30, float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("enhancer", "option", "beside"),
    [
        ("softmax", "temperature", {}),
        ("softmax", "positive_temperature", {"loss": "bsl"}),
        ("softmax", "topk_temperature", {"topk": 5}),
        ("distil", "temperature", {}),
        ("rvrec", "temperature", {"objective": True}),
        ("rvrec", "temperature", {}),
        ("euclid2d", "temperature", {}),
    ],
)
def test_temperatures_that_single_precision_cannot_take(
    enhancer: str, option: str, beside: dict[str, object], value: float
) -> None:
    with pytest.raises(ConfigurationError, match=f"'{enhancer}': {option} = .*{SINGLE}"):
        make_enhancers({enhancer: {**beside, option: value}})


def test_the_command_line_shows_the_ends() -> None:
    fields = make_enhancers("softmax")[0].config.__class__.model_fields
    assert type_of(fields["temperature"]) == "float | null, >= 0.0001, <= 10000"
    assert type_of(fields["topk_temperature"]) == "float, >= 0.0001, <= 10000"


@pytest.mark.parametrize(
    ("enhancer", "options"),
    [
        ("softmax", {"negatives": True}),
        ("softmax", {"topk": True}),
        ("softmax", {"positive_from": True}),
        ("distil", {"teachers": {"ease": True}}),
        ("distil", {"epochs": [True, 2]}),
        ("compress", {"teachers": {"ease": [1, True]}}),
        ("compress", {"ridge": [True]}),
        ("aggregate", {"hops": [True]}),
        ("average", {"decay": True}),
        ("prior", {"strengths": [True]}),
        ("rvrec", {"weight": True}),
    ],
)
def test_truth_is_no_number(enhancer: str, options: dict[str, object]) -> None:
    with pytest.raises(
        ConfigurationError, match=f"'{enhancer}': .* = True.*: give a number, not true or false"
    ):
        make_enhancers({enhancer: options})


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ({1: {}}, r"enhancers: the name 1 is a int"),
        ({"rvrec": {1: 2}}, r"enhancers: rvrec: the name 1 is a int"),
        ({True: {}}, r"the name True is a bool"),
        ([["rvrec"]], r"the name \['rvrec'\] is a list"),
        (3, r"enhancers = 3: give names"),
    ],
)
def test_names_are_text(block: object, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        make_enhancers(block)  # type: ignore[arg-type]


def test_an_own_enhancer_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own `__init__` takes other options, or fails: a message names the class, the option, or file and line."""
    (tmp_path / "own.py").write_text(
        "from burnish import Enhancer\n\n\n"
        "class Gain(Enhancer):\n"
        "    name = 'own_gain'\n\n"
        "    def __init__(self, weight=0.1):\n"
        "        super().__init__()\n"
        "        self.own = undefined_thing if weight > 1 else weight\n\n"
        "    def weigh(self, batch):\n"
        "        return None\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    place = "own.py:Gain"
    assert make_enhancers({place: {"weight": 0.5}})[0].own == 0.5
    with pytest.raises(UnknownNameError, match=r"option 'weigth' is not known. Did you mean 'weight'"):
        make_enhancers({place: {"weigth": 0.5}})
    with pytest.raises(
        ConfigurationError, match=r"cannot be made: NameError in .*own\.py, line 9: name 'undefined_th"
    ):
        make_enhancers({place: {"weight": 2}})

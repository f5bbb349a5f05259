"""Plans: short forms, defaults, and errors that name the field and the nearest match."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from burnish.benchmarks.harness import load_plan, make_plan
from burnish.benchmarks.harness.specs import spec_of, with_settings
from burnish.benchmarks.harness.tuning import space_of, trial_spec
from burnish.errors import ConfigurationError, DataError, UnknownNameError, UnsupportedError


def test_short_and_long_forms(plan_content: dict[str, Any]) -> None:
    plan = make_plan(
        {
            **plan_content,
            "backbones": [
                "BPR",
                {"name": "LightGCN", "label": "deep", "options": {"n_layers": 4}, "seeds": [7]},
            ],
            "arms": {
                "text": "uneven",
                "list": ["uneven"],
                "block": {"uneven": {"spread": 0.2}},
                "bare": {"uneven": None},
                "long": {"enhancers": {"uneven": {}}, "options": {"epochs": 3}},
                "off": {"uneven": False},
            },
            "seeds": 3,
        }
    )
    assert [(entry.name, entry.label) for entry in plan.backbones] == [("BPR", "BPR"), ("LightGCN", "deep")]
    assert [plan.seeds_of(entry) for entry in plan.backbones] == [[2020, 2021, 2022], [7]]
    assert list(plan.arms) == ["plain", "text", "list", "block", "bare", "long", "off"]
    assert plan.arms["text"].enhancers == plan.arms["list"].enhancers == plan.arms["bare"].enhancers
    assert plan.arms["block"].enhancers == {"uneven": {"spread": 0.2}}
    assert plan.arms["long"].options == {"epochs": 3}
    assert plan.arms["off"].enhancers == plan.arms["plain"].enhancers == {}
    assert plan.n_runs == (3 + 1) * 7


def test_one_backbone_needs_no_list(plan_content: dict[str, Any]) -> None:
    assert [entry.label for entry in make_plan({**plan_content, "backbones": "BPR"}).backbones] == ["BPR"]


def test_values_that_are_there_twice_are_tried_once(plan_content: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match=r"0\.1 is there twice among the values of 'learning_rate'"):
        plan = make_plan(
            {**plan_content, "tune": {"trials": 9, "space": {"learning_rate": [0.1, 0.2, 0.10]}}}
        )
    assert plan.tune is not None
    assert plan.tune.space == {"learning_rate": [0.1, 0.2]}


def test_file_with_numbers_as_recbole_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("dataset: tiny\nbackbones: [BPR]\noptions: {learning_rate: 1e-3, weight_decay: 1.5e-4}\n")
    plan = load_plan(file, runs=tmp_path / "elsewhere")
    assert plan.options == {"learning_rate": 1e-3, "weight_decay": 1.5e-4}
    assert plan.runs == tmp_path / "elsewhere"
    assert (list(plan.arms), plan.seeds) == (["plain"], [2020, 2021, 2022, 2023, 2024])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"datasett": "x"}, "'datasett' is not known. Did you mean 'dataset'"),
        ({"backbones": [{"name": "BPR", "optons": {}}]}, "key in backbones.0 'optons' .* mean 'options'"),
        ({"backbones": ["LihgtGCN"]}, "'LihgtGCN' is not known. Did you mean 'LightGCN'"),
        ({"arms": {"a": {"unevn": {}}}}, "arm 'a': enhancer 'unevn' is not known. Did you mean 'uneven'"),
        ({"arms": {"a": {"uneven": {"spred": 1}}}}, "enhancer 'uneven': option 'spred' .* mean 'spread'"),
        (
            {"arms": {"a": {"enhancers": "uneven", "backbones": ["BRP"]}}},
            "arm 'a': backbone 'BRP' .* mean 'BPR'",
        ),
        ({"tune": {"trials": 2, "spce": {}}}, "key in tune 'spce' is not known. Did you mean 'space'"),
        ({"tune": {"trials": 2, "space": {"unevn.spread": [1]}}}, "enhancer 'unevn' is not known"),
        ({"tune": {"trials": 2, "arms": {"bigg": {}}}}, "'bigg' is not known. Did you mean 'big'"),
        (
            {"tune": {"trials": 2, "arms": {"big": {"uneven.spread": [1]}}}},
            "tune.arms.big: enhancer 'uneven'",
        ),
    ],
)
def test_names_that_do_not_exist(change: dict[str, Any], message: str, plan_content: dict[str, Any]) -> None:
    with pytest.raises(UnknownNameError, match=message):
        make_plan({**plan_content, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbones": []}, "backbones"),
        ({"backbones": ["BPR", "BPR"]}, "two backbones have the label 'BPR'"),
        ({"backbones": [{"name": "BPR", "label": "floors"}]}, "label 'floors', which names the folder"),
        ({"backbones": [{"name": "BPR", "label": "../up"}]}, "'../up': a label becomes a folder"),
        ({"arms": {"a/b": {}}}, "a label becomes a folder"),
        ({"dataset": "a/b"}, "dataset = 'a/b'"),
        ({"arms": {"plain": {"uneven": {}}}}, "the arm 'plain' is the bare backbone"),
        (
            {"arms": {"a": {"uneven": {"spread": "wide"}}}},
            "arm 'a': enhancer 'uneven': spread = 'wide'",
        ),
        ({"seeds": 0}, "seeds = 0: at least one seed"),
        ({"seeds": [1, 1]}, "each seed once"),
        ({"seeds": "two"}, r"seeds = 'two': give how many, as in 3, or a list .* Did you mean 2\?"),
        ({"seeds": "4"}, r"Did you mean 4\?"),
        (
            {"seeds": "some"},
            r"seeds = 'some': give how many, as in 3, or a list of them, as in \[1, 2, 3\]\.$",
        ),
        ({"seeds": 2.5}, "seeds = 2.5: give how many"),
        ({"seeds": [-1]}, r"seeds = \[-1\]: -1 is no seed: give whole numbers from 0"),
        ({"backbones": [{"name": "BPR", "seeds": [2**32]}]}, "4294967296 is no seed"),
        ({"seeds": 20240101}, r"20,240,101 are more than 1,000; for this seed alone write \[20240101\]"),
        ({"tune": {"trials": 1, "seed": -1}}, "tune.seed = -1: -1 is no seed"),
        ({"arms": {"a\n": {}}}, "a label becomes a folder"),
        ({"arms": {"late": {"options": {"split": "time"}}}}, "arm 'late': .*would have others"),
        (
            {"arms": {"few": {"options": {"eval_args": {"mode": "uni10"}}}}},
            r"arm 'few': options: eval_args = .*would have others",
        ),
        ({"threads": 0}, "threads = 0"),
        ({"tune": {"trials": 0}}, "tune.trials = 0"),
        ({"tune": {"trials": 1, "space": {"learning_rate": []}}}, "no values to try for 'learning_rate'"),
        ({"tune": {}}, "'tune.trials' is missing"),
    ],
)
def test_values_that_cannot_be(change: dict[str, Any], message: str, plan_content: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_plan({**plan_content, **change})


def test_cases_that_arms_may_name(plan_content: dict[str, Any]) -> None:
    """Those of the plan, of the backbone, or RecBole's own."""
    content = {**plan_content, "options": {**plan_content["options"]}}
    content["options"].pop("eval_args", None)
    arms = {"same": {"options": {"eval_args": {"mode": "full", "order": "RO"}}}}
    assert "same" in make_plan({**content, "arms": arms}).arms
    late = {"split": {"time": {"valid": 0.1, "test": 0.1}}}
    assert "late" in make_plan({**content, "split": "time", "arms": {"late": {"options": late}}}).arms


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ({"space": {"learning_rate": [0.1, 0]}}, r"tune\.space: learning_rate = 0: give a number above 0"),
        (
            {"space": {"embedding_size": [8, "wide"]}},
            r"tune\.space: embedding_size = 'wide': give a whole number",
        ),
        ({"space": {"metrics": [["NDGC"]]}}, r"tune\.space: metrics: metric 'NDGC' .*mean 'NDCG'"),
        (
            {"space": {"user_inter_num_interval": ["5"]}},
            r"tune\.space: user_inter_num_interval = 5: '5' is an illegal",
        ),
        ({"space": {"split": ["random", "time"]}}, r"tune\.space: option 'split' has no place here"),
        (
            {"arms": {"odd": {"eval_args": [{"order": "TO"}]}}},
            r"tune\.arms\.odd: option 'eval_args' has no place",
        ),
        ({"space": {"valid_metric": ["MRR@10", "NDCG@10"]}}, "tune: valid_metric is to be tried"),
        ({"arms": {"plain": {"weight_decay": [-1]}}}, r"tune\.arms\.plain: weight_decay = -1"),
        ({"space": {"uneven.spread": [1, "wide"]}}, r"tune\.space: enhancer 'uneven': spread = 'wide'"),
        ({"space": {"uneven.spred": [1]}}, r"tune\.space: enhancer 'uneven': option 'spred' .*mean 'spread'"),
        (
            {"space": {"uneven.spread": [1]}, "arms": {"odd": {"uneven.spread": [0.5, "wide"]}}},
            r"tune\.arms\.odd: enhancer 'uneven': spread = 'wide'.*'uneven\.spread' is to try it; leave it out",
        ),
        ({"space": {"softmax.temperature": [0.1, 0]}}, r"tune\.space: enhancer 'softmax': temperature = 0: "),
    ],
)
def test_values_to_try_that_cannot_be(
    tune: dict[str, Any], message: str, plan_content: dict[str, Any]
) -> None:
    content = {**plan_content, "arms": {"odd": "uneven", "soft": {"softmax": {"temperature": 0.2}}}}
    with pytest.raises((ConfigurationError, UnknownNameError), match=f"^here.yaml: {message}"):
        make_plan({**content, "tune": {"trials": 2, **tune}}, origin="here.yaml")


def test_options_of_trials_are_for_the_arms_that_have_the_enhancer(plan_content: dict[str, Any]) -> None:
    """As those of `space` are; names and values are looked at when the plan is read."""
    content = {**plan_content, "arms": {"odd": "uneven"}}

    def tune(options: dict[str, Any]) -> dict[str, Any]:
        return {**content, "tune": {"trials": 2, "space": {"learning_rate": [0.1, 0.2]}, "options": options}}

    plan = make_plan(tune({"uneven.spread": 0.3, "epochs": 2}))
    assert plan.tune is not None
    entry = plan.backbones[0]
    odd, plain = (trial_spec(spec_of(plan, entry, arm, 1), plan.tune, 0, {}) for arm in ("odd", "plain"))
    assert (odd.enhancers, odd.options["epochs"]) == ({"uneven": {"spread": 0.3}}, 2)
    assert (plain.enhancers, plain.options["epochs"]) == ({}, 2)
    assert space_of(plan, "odd") == space_of(plan, "plain") == {"learning_rate": [0.1, 0.2]}
    for options, message in (
        ({"softmax.temperature": 0.3}, r"tune\.options: enhancer 'softmax' is not known.*No arm has it"),
        ({"uneven.spred": 1}, r"tune\.options: enhancer 'uneven': option 'spred' .*mean 'spread'"),
        ({"uneven.spread": "wide"}, r"tune\.options: enhancer 'uneven': spread = 'wide': [^(]*$"),
        (
            {"learning_rate": 0.1, "epochs": -1},
            r"tune\.options: epochs = -1: give a whole number, 0 or more$",
        ),
    ):
        with pytest.raises((ConfigurationError, UnknownNameError), match=f"^plan: {message}"):
            make_plan(tune(options))


TWO = {"teachers": {"ease": None, "softmax": None}}


@pytest.mark.parametrize(
    ("block", "tried", "message"),
    [
        (
            {"compress": {**TWO, "teacher_options": {"softmax": {"softmax.temprature": 0.1}}}},
            {},
            r"arm 'a': compress: teacher_options\.softmax: .*'temprature' is not known.*mean 'temperature'",
        ),
        (
            {"compress": {**TWO, "teacher_options": {"softmax": {"learning_rate": -1}}}},
            {},
            r"arm 'a': the teacher 'softmax': learning_rate = -1: give a number above 0",
        ),
        (
            {"compress": TWO},
            {"compress.teacher_options": [{"softmax": {"softmax.temperature": value}} for value in (1, -1)]},
            r"tune: arm 'a': compress: teacher_options\.softmax: .*temperature = -1: .*\(a trial is to have compress",
        ),
        (
            {"aggregate": {"base": "softmax"}},
            {"aggregate.base_options": [{}, {"average.decay": 0.9}]},
            r"tune: arm 'a': aggregate: base_options: enhancer 'average' is not known",
        ),
        (
            {"compress": {"teachers": {"ease": None, "sofmax+average": None}}},
            {},
            r"arm 'a': enhancer 'compress': teacher 'sofmax\+average': enhancer 'sofmax' is not known",
        ),
        (
            {"aggregate": {}},
            {"aggregate.base": ["auto", "softmx"]},
            r"tune: arm 'a': enhancer 'aggregate': base 'softmx' is not known.*'softmax'",
        ),
        ({"aggregate": {"base": "./nothing"}}, {}, r"arm 'a': nothing is not the folder of a run"),
        (
            {
                "compress": {
                    "teachers": "compress",
                    "teacher_options": {"compress": {"compress.teachers": "sofmax"}},
                }
            },
            {},
            r"arm 'a': the teacher 'compress': enhancer 'compress': teacher 'sofmax' is not known",
        ),
        (
            {
                "aggregate": {
                    "base": "compress",
                    "base_options": {
                        "compress.teachers": "softmax",
                        "compress.teacher_options": {"softmax": {"epochs": -1}},
                    },
                }
            },
            {},
            r"arm 'a': the teacher 'softmax': epochs = -1: give a whole number",
        ),
        (
            {"aggregate": {}, "softmax": {"base": "compress"}},
            {},
            r"arm 'a': enhancers ask for different bases",
        ),
    ],
)
def test_what_is_trained_first_is_looked_at_when_the_plan_is_read(
    block: dict[str, Any], tried: dict[str, Any], message: str, plan_content: dict[str, Any]
) -> None:
    """Names, options and values, at any depth: `plain` would be trained before they are met."""
    tune = {"tune": {"trials": 9, "arms": {"a": tried}}} if tried else {}
    with pytest.raises((ConfigurationError, UnknownNameError, DataError), match=f"^plan: {message}"):
        make_plan({**plan_content, "arms": {"a": block}, **tune})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("valid_metric", "NDGC@10"),
        ("train_neg_sample_args", {"distribution": "unifrom"}),
        ("cold_below", "x"),
        ("sequence_training", "whole"),
        ("learning_rate", "abc"),
        ("topk", 0),
        ("save_dataset", True),
    ],
)
def test_values_that_no_backbone_takes(option: str, value: Any, plan_content: dict[str, Any]) -> None:
    """Wherever options of RecBole's stand."""
    own = {option: value}
    trials: dict[str, Any] = {"trials": 2, "space": {"learning_rate": [0.1, 0.2]}}
    data = plan_content["options"]
    places: dict[str, Any] = {
        "options: ": {"options": {**data, **own}},
        "backbone 'BPR': ": {"backbones": ["NeuMF", {"name": "BPR", "options": own}]},
        "arm 'a': ": {"arms": {"a": {"options": own}}},
        r"tune\.options: ": {"tune": {**trials, "options": own}},
        r"tune\.space: ": {"tune": {"trials": 2, "space": {option: [value]}}},
        r"floors\.EASE\.options: ": {"floors": {"EASE": {"options": own}}},
        r"floors\.softmax\.options: ": {"floors": {"softmax": {"options": own}}},
    }
    for place, change in places.items():
        with pytest.raises((ConfigurationError, UnsupportedError), match=rf"^plan: {place}.*{option}"):
            make_plan({**plan_content, **change})
        if (
            option == "sequence_training" and "BPR" not in place and "EASE" not in place
        ):  # one of them takes it
            make_plan({**plan_content, **change, "backbones": ["BPR", "SASRec"]})


def test_what_one_of_the_backbones_can_learn_from_is_read(plan_content: dict[str, Any]) -> None:
    """Runs of the other one fail, as they did."""
    content = {**plan_content, "arms": {"a": {"distil": {"teachers": "softmax"}}}}
    make_plan({**content, "backbones": ["SASRec", "BPR"]})
    with pytest.raises(
        UnsupportedError, match="arm 'a': enhancer 'distil': teacher 'softmax' is a run of SASRec"
    ):
        make_plan({**content, "backbones": ["SASRec"]})


def test_what_the_fixed_options_lack_may_be_tried(plan_content: dict[str, Any]) -> None:
    """Options of a base that each trial names."""
    block = {"aggregate": {"base_options": {"softmax.temperature": 0.1}}}
    tried = {"aggregate.base": ["softmax", "softmax+average"]}
    make_plan({**plan_content, "arms": {"a": block}, "tune": {"trials": 2, "arms": {"a": tried}}})
    with pytest.raises(
        UnknownNameError, match="arm 'a': aggregate: base_options: enhancer 'softmax' is not known"
    ):
        make_plan({**plan_content, "arms": {"a": block}})


def test_settings_of_an_enhancer_that_is_not_there_are_refused(plan_content: dict[str, Any]) -> None:
    plan = make_plan(plan_content)
    spec = spec_of(plan, plan.backbones[0], "big", 1)
    with pytest.raises(
        ConfigurationError, match=r"^uneven\.spread = 2: the arm 'big' has no enhancer 'uneven'"
    ):
        with_settings(spec, {"uneven.spread": 2})


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("options", {"options": {"uneven.spread": -1}}),
        (r"backbones\.0\.options", {"backbones": [{"name": "BPR", "options": {"uneven.spread": -1}}]}),
        (r"arms\.a\.options", {"arms": {"a": {"enhancers": "uneven", "options": {"uneven.spread": -1}}}}),
    ],
)
def test_options_of_enhancers_stand_with_them(
    place: str, change: dict[str, Any], plan_content: dict[str, Any]
) -> None:
    """RecBole would take them, and nobody read them."""
    words = rf"^plan: {place} ?.*option 'uneven\.spread' has no effect here.*\{{uneven: \{{spread: -1\}}\}}"
    if "options" in change:  # where the data lie is said there, too
        change = {"options": {**plan_content["options"], **change["options"]}}
    with pytest.raises(ConfigurationError, match=words):
        make_plan({**plan_content, **change})


def test_values_that_do_not_go_together(plan_content: dict[str, Any]) -> None:
    """In-run values need a warm-up: one of the four points cannot be, and each of its values is in another one."""
    arms = {"a": {"shapley": {"warmup_epochs": 0}}}
    halves = {"space": {"shapley.values": ["in-run"]}, "arms": {"a": {"shapley.warmup_epochs": [1]}}}
    make_plan({**plan_content, "arms": arms, "tune": {"trials": 4, **halves}})
    alone = {"space": {"shapley.values": ["in-run"]}}
    with pytest.raises(
        ConfigurationError, match=r"tune\.space: .*must be at least 1 \('shapley\.values' is to try"
    ):
        make_plan({**plan_content, "arms": arms, "tune": {"trials": 4, **alone}})
    space = {"shapley.values": ["in-run", "cross-fit"], "shapley.warmup_epochs": [0, 1]}
    words = r"tune: arm 'a': .*\(a trial is to have shapley\.values = 'in-run', shapley\.warmup_epochs = 0; leave one"
    with pytest.raises(ConfigurationError, match=words):
        make_plan({**plan_content, "arms": arms, "tune": {"trials": 4, "space": space}})
    drawn = {"trials": 1, "space": space}  # what is not drawn does no harm
    make_plan({**plan_content, "arms": arms, "tune": {**drawn, "seed": 2020}})


def test_a_value_that_one_of_the_backbones_takes_is_tried(plan_content: dict[str, Any]) -> None:
    tune = {"trials": 2, "space": {"loss_type": ["CE", "BPR", "AB"], "learning_rate": ["1e-3"]}}
    make_plan({**plan_content, "backbones": ["SASRec", "BPR"], "tune": tune})
    with pytest.raises(ConfigurationError, match=r"tune\.space: loss_type = 'AB'"):
        make_plan({**plan_content, "backbones": ["SASRec"], "tune": tune})


@pytest.mark.parametrize(
    ("option", "cure"),
    [
        ({"enhancers": {"uneven": {}}}, "attach them in `arms`"),
        ({"seed": 5}, "say `seeds` beside"),
        ({"dataset": "other"}, "say `dataset` beside"),
        ({"model": "NeuMF"}, "say it in `backbones`"),
        ({"config_files": ["a.yaml"]}, "write their options here"),
    ],
)
def test_what_the_plan_decides_is_no_option(
    option: dict[str, Any], cure: str, plan_content: dict[str, Any]
) -> None:
    """Wherever options or spaces stand: they would be overridden in silence."""
    (name,) = option
    space = {name: [1, 2]}
    places: dict[str, Any] = {
        "options": {"options": {**plan_content["options"], **option}},
        "backbones.0.options": {"backbones": [{"name": "BPR", "options": option}]},
        "arms.a.options": {"arms": {"a": {"enhancers": "uneven", "options": option}}},
        "tune.options": {"tune": {"trials": 2, "space": {"epochs": [1, 2]}, "options": option}},
        "tune.space": {"tune": {"trials": 2, "space": space}},
        "tune.arms": {"arms": {"a": "uneven"}, "tune": {"trials": 2, "arms": {"a": space}}},
    }
    if name == "seed":
        del places["options"]  # told only: see below
    for place, change in places.items():
        with pytest.raises(
            ConfigurationError, match=rf"plan: {place}.*option '{name}' has no effect here; {cure}"
        ):
            make_plan({**plan_content, **change})


def test_a_seed_among_the_options_of_an_earlier_plan_is_told(plan_content: dict[str, Any]) -> None:
    """Its runs are known by it, so it stays."""
    options = {**plan_content["options"], "seed": 7}
    with pytest.warns(UserWarning, match="options: seed = 7 has no effect; say `seeds` beside"):
        plan = make_plan({**plan_content, "options": options})
    assert plan.options["seed"] == 7


@pytest.mark.parametrize(
    ("metric", "cure"), [("NDCG", "ndcg@10"), ("ndcg@", "ndcg@10"), ("AUC@10", "auc"), ("GAUC@5", "gauc")]
)
def test_a_metric_to_tune_by_is_called_as_it_is_computed(
    metric: str, cure: str, plan_content: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match=rf"tune\.metric = '{metric}' .*say {cure}$"):
        make_plan({**plan_content, "tune": {"trials": 2, "space": {"epochs": [1, 2]}, "metric": metric}})


def test_the_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("backbones: [BPR]\n")
    with pytest.raises(ConfigurationError, match=r"plan\.yaml: 'dataset' is missing"):
        load_plan(file)


EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "file", [file for file in EXAMPLES if "\nbackbones:" in file.read_text()], ids=lambda f: f.stem
)
def test_the_examples_are_read(file: Path) -> None:
    assert load_plan(file).n_runs


def test_the_example_is_a_valid_plan() -> None:
    plan = load_plan(Path(__file__).parents[3] / "examples" / "ablation.yaml")
    assert list(plan.arms) == ["plain", "rvrec", "euclid2d", "wider"]
    assert plan.tune is not None
    assert plan.tune.space["learning_rate"] == [5e-4, 1e-3, 2e-3, 4e-3]


def test_reading_a_plan_needs_no_recbole() -> None:
    code = (
        "import sys; from burnish.benchmarks import harness; import burnish.benchmarks.harness.plan; "
        "print([m for m in ('torch', 'recbole', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

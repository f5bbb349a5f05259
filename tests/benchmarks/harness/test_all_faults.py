"""Whatever can be seen to be wrong with a plan is told in one message, and nothing that is not wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from own_world import imports_as_before

from burnish.benchmarks.harness import load_plan, make_plan, run_plan
from burnish.errors import BurnishError, ConfigurationError, UnknownNameError


@pytest.fixture(autouse=True)
def _own_classes_are_forgotten() -> Iterator[None]:
    with imports_as_before():
        yield


def told(content: dict[str, Any]) -> list[str]:
    """The lines of what a plan is refused with; nothing may have been written."""
    with pytest.raises(BurnishError) as error:
        run_plan(content, quiet=True)
    assert not Path(content["runs"]).exists()
    return str(error.value).splitlines()


def missing(lines: list[str], *wanted: str) -> list[str]:
    """Those of the wanted texts that no line has."""
    return [text for text in wanted if not any(text in line for line in lines)]


def test_faults_of_every_kind_in_one_message(plan_content: dict[str, Any]) -> None:
    Path("mine.py").write_text(
        "from recbole.model.general_recommender import BPR\nclass Tower(BPR):\n    pass\n"
    )
    content = {
        **plan_content,
        "dataset": "tinny",
        "backbones": ["mine.py:Twer", "BPRR", {"name": "BPR", "lable": "x"}],
        "arms": {
            "softmax": "softmx",
            "rv": {"rvrec": {"weigt": 0.1, "sample": "many"}},
            "g": {"guided": {"scores": "none.tsv"}},
            "t": {"softmax": {"temperature": -1}},
            "k": {"enhancers": "softmax", "option": {"epochs": 1}},
        },
        "floors": ["Popp", "EASEE", "Pop"],
        "seeds": "two",
        "optoins": {"epochs": 1},
        "options": {**plan_content["options"], "epochs": "many", "learning_rat": 0.1, "embedding_size": 0},
    }
    lines = told(content)
    assert "things are wrong, and nothing was trained" in lines[0]
    wanted = (
        "data set 'tinny' is not known. Did you mean 'tiny'?",
        "Did you mean 'Tower'?",
        "backbone 'BPRR' is not known. Did you mean 'BPR'?",
        "'lable' is not known. Did you mean 'label'?",
        "arm 'softmax': enhancer 'softmx' is not known. Did you mean 'softmax'?",
        "arm 'rv': enhancer 'rvrec': option 'weigt' is not known. Did you mean 'weight'?",
        "arm 'rv': enhancer 'rvrec': sample = 'many'",
        "none.tsv",
        "arm 't': enhancer 'softmax': temperature = -1",
        "key in arms.k 'option' is not known. Did you mean 'options'?",
        "floor 'Popp' is not known. Did you mean 'Pop'?",
        "floor 'EASEE' is not known. Did you mean 'EASE'?",
        "seeds = 'two'",
        "key 'optoins' is not known. Did you mean 'options'?",
        "options: epochs = 'many'",
        "options: embedding_size = 0",
        "options: option 'learning_rat' is read by neither RecBole nor BPR. Did you mean 'learning_rate'?",
    )
    assert missing(lines, *wanted) == []
    assert len(lines) == 1 + len(wanted), lines


def test_what_stands_in_a_misspelt_block_is_judged_too(plan_content: dict[str, Any]) -> None:
    arms = plan_content.pop("arms")
    content = {**plan_content, "arm": {**arms, "a": "softmx"}, "tunes": {"trails": 0}}
    lines = told(content)
    assert (
        missing(lines, "'arm' is not known", "'softmx'", "'tunes' is not known", "'trails'", "trials = 0")
        == []
    )
    assert not any("is missing" in line for line in lines)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        # A part that cannot be read is told, and not what names it.
        ({"arms": {"a": {"enhancers": 3}}, "tune": {"trials": 2, "arms": {"a": {"softmax.weight": [1]}}}}, 1),
        ({"arms": {"a": "softmx"}, "tune": {"trials": 2, "arms": {"a": {"softmx.weight": [1]}}}}, 1),
        ({"backbones": ["gone.py:Tower", "BPR"], "arms": {"a": {"backbones": ["Tower"]}}}, 1),
        ({"tune": {"trials": "two", "space": {"learning_rate": [0.1]}}}, 1),
        ({"tune": {"trials": 2, "space": {"epochs": [], "learning_rate": [], "seed": [1]}}}, 3),
        ({"options": {"enhancers": {}, "softmax.weight": 1}}, 2),
        ({"dataset": ["tiny", "ml-100k"], "seeds": 0}, 2),
        ({"arms": {"a b/c": {}, "d/e": {}}, "backbones": ["BPR", "BPR", "Pop", "Pop"]}, 4),
        ({"backbones": [], "seeds": []}, 2),
        ({"backbones": 3, "threads": 0}, 2),
        (
            {
                "floors": {
                    "softmax": {"options": {"softmax.temperature": -1}},
                    "EASE": {"tune": {"reg_weight": []}},
                }
            },
            2,
        ),
    ],
)
def test_as_many_lines_as_faults(change: dict[str, Any], wanted: int, plan_content: dict[str, Any]) -> None:
    # Where the data lie stays said.
    change = {**change, "options": {**plan_content["options"], **change.get("options", {})}}
    lines = told({**plan_content, **change})
    assert (len(lines) - 1 or 1) == wanted, lines


def test_a_label_that_is_no_folder_is_named(plan_content: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"arm 'a b/c': a label becomes a folder.*; a-b-c is one"):
        make_plan({**plan_content, "arms": {"a b/c": {}}})


def test_a_single_fault_keeps_its_class_and_the_file(plan_content: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("dataset: tiny\nbackbones: [BPRR]\n")
    with pytest.raises(UnknownNameError, match=r"p\.yaml: backbone 'BPRR'"):
        load_plan(tmp_path / "p.yaml")


@pytest.mark.parametrize("values", [[0.1], [0.1, 0.01]])
@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("ndgc@10", "tune.metric: metric 'ndgc' is not known. Did you mean 'NDCG'?"),
        ("ndcg@20", "tune.metric = 'ndcg@20' is not among the metrics that are computed"),
        ("hit@10", "tune.metric = 'hit@10' is not among the metrics that are computed"),
        ("ndcg", "say ndcg@10"),
        ("auc@3", "say auc"),
        ("rmse", "is not among the metrics that are computed"),
    ],
)
def test_the_metric_of_tuning(
    metric: str, message: str, values: list[float], plan_content: dict[str, Any]
) -> None:
    tune = {"trials": 2, "metric": metric, "space": {"learning_rate": values}}
    lines = told({**plan_content, "tune": tune})
    assert missing(lines, message) == []


def test_a_metric_that_is_computed_passes(plan_content: dict[str, Any]) -> None:
    tune = {"trials": 2, "metric": "NDCG@7", "space": {"learning_rate": [0.1]}, "options": {"topk": [7]}}
    assert make_plan({**plan_content, "tune": tune}).tune is not None
    tune["options"] = {}
    with pytest.raises(ConfigurationError, match="NDCG@7"):
        make_plan({**plan_content, "tune": tune})


def test_a_misspelt_option_beside_finished_runs_is_a_warning(plan_content: dict[str, Any]) -> None:
    """Runs are known by their options: a plan of before goes on."""
    from burnish.benchmarks.harness.specs import DONE, spec_of

    content = {**plan_content, "options": {**plan_content["options"], "epoch": 1}}
    assert (
        missing(told(content), "option 'epoch' is read by neither RecBole nor BPR. Did you mean 'epochs'?")
        == []
    )
    plan = make_plan(content)
    folder = spec_of(plan, plan.backbones[0], "plain", 2020).folder(plan.runs)
    folder.mkdir(parents=True)
    (folder / DONE).touch()
    from burnish.benchmarks.harness.first_look import look_at_runs

    look_at_runs(plan)


def test_the_nearest_name_of_any_backbone_is_meant(plan_content: dict[str, Any]) -> None:
    options = {**plan_content["options"], "n_layers": 1, "n_layer": 1}
    lines = told({**plan_content, "backbones": ["BPR", "LightGCN"], "options": options})
    assert (
        missing(lines, "'n_layer' is read by neither RecBole nor BPR, LightGCN. Did you mean 'n_layers'?")
        == []
    )
    assert len(lines) == 1  # n_layers is LightGCN's


def test_runs_do_not_lie_among_data(plan_content: dict[str, Any], data_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds a data set"):
        run_plan({**plan_content, "runs": str(data_path)}, quiet=True)

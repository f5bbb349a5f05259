"""The model card of a run: figures against an independent calculation, sentences against what the run is."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import burnish
from burnish.enhancers.conformance.data import NAME, write_data
from burnish.enhancers.conformance.presets import preset
from burnish.errors import DataError
from burnish.trained.card import ModelCard, card
from burnish.trained.card.read import Facts
from burnish.trained.card.slices import by_activity, by_popularity, figures, weaknesses, wilson
from burnish.trained.card.words import _of_users, deciding, objective, split_in_words


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data, folder = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("run") / "run"
    write_data(data)
    options = {**preset("BPR"), "data_path": str(data), "threads": 1, "epochs": 2, "weight_decay": 0.01}
    burnish.run("BPR", NAME, enhancers={"softmax": {"temperature": 0.3}}, config=options, folder=folder)
    return folder


def section(made: ModelCard, title: str) -> Any:
    return next(one for one in made.sections if one.title == title)


def rows_of(made: ModelCard, title: str) -> dict[str, tuple[Any, ...]]:
    return {str(row[0]): row[1:] for row in section(made, title).rows}


def facts(**known: Any) -> Facts:
    usual: dict[str, Any] = {
        **{"folder": Path("out"), "model": "BPR", "dataset": "shop", "enhancers": {}, "given": {}},
        **{"config": {"MODEL_TYPE": "ModelType.GENERAL", "MODEL_INPUT_TYPE": "InputType.PAIRWISE"}},
        **{"result": {}, "per_user": None},
    }
    return Facts(**{**usual, **known})


def test_the_card_of_a_run(run: Path) -> None:
    made = card(run)
    assert made.title == f"BPR + softmax on {NAME}, seed 2020"
    said = " ".join(section(made, "What it optimises").sentences)
    assert "own recommendation loss is replaced by the one of softmax" in said
    options = rows_of(made, "Settings")
    assert options["weight_decay"][0] == "0.01"
    assert options["softmax.temperature"] == (
        "0.3",
        burnish.Softmax.Config.model_fields["temperature"].description,
    )
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    values = rows_of(made, "How good it is")
    assert {name: row[0] for name, row in values.items()} == result["test_result"]
    assert {name: row[2] for name, row in values.items()} == result["valid_result"]
    assert f"{result['data']['users']} users" in section(made, "Data").sentences[0]
    assert f"burnish explain {run}" in " ".join(section(made, "What decides a recommendation").sentences)


def test_every_form_has_all_of_it(run: Path) -> None:
    made = card(run)
    text, page, content = (
        made.markdown(),
        made.html(),
        json.loads(json.dumps(made.as_object(), allow_nan=False)),
    )
    for one in made.sections:
        assert f"## {one.title}" in text
        assert f"<h2>{one.title.replace('&', '&amp;')}</h2>" in page
        assert text.count(f"| {one.rows[0][0]} |") == 1 if one.rows else True
    assert [one["title"] for one in content["sections"]] == [one.title for one in made.sections]
    assert "<script" not in page
    assert "<strong>" in made._repr_html_()


def test_the_interval_is_students_over_users() -> None:
    values = np.random.default_rng(0).random(30)
    users = pd.DataFrame({"user": [f"u{n}" for n in range(30)], "ndcg@10": values})
    ((found, valid),) = figures(facts(result={"test_result": {"ndcg@10": values.mean()}}, per_user=users))
    low, high = stats.t.interval(0.95, 29, values.mean(), stats.sem(values))
    assert (found.low, found.high, found.n) == (pytest.approx(low), pytest.approx(high), 30)
    assert math.isnan(valid)


def test_rows_of_one_user_are_one_observation() -> None:
    values = np.random.default_rng(1).random(30)
    once = pd.DataFrame({"user": [f"u{n}" for n in range(30)], "ndcg@10": values})
    result = {"test_result": {"ndcg@10": values.mean()}}
    ((alone, _),) = figures(facts(result=result, per_user=once))
    ((doubled, _),) = figures(facts(result=result, per_user=pd.concat([once, once])))
    assert (doubled.low, doubled.high, doubled.n) == (pytest.approx(alone.low), pytest.approx(alone.high), 30)


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (3, 20), (20, 20), (1, 1)])
def test_shares_have_wilsons_interval(hits: int, n: int) -> None:
    interval = stats.binomtest(hits, n).proportion_ci(method="wilson")
    found = wilson("", hits, n)
    assert (found.low, found.high) == (pytest.approx(interval.low, abs=1e-12), pytest.approx(interval.high))


DECILES = {
    "items": [4, *[10] * 10],
    "interactions": [0, *range(10, 101, 10)],
    "wanted": [6, *[50] * 10],
    "hits@10": [0, 0, 0, 0, 0, 1, 5, 5, 5, 5, 30],
    "listed@10": [0, 0, 0, 0, 0, 1, 20, 20, 20, 20, 119],
}


def test_groups_of_items_are_told_where_they_are_clearly_worse() -> None:
    known = facts(result={"popularity_deciles": DECILES, "beyond": {"itemcoverage@10": 0.25}})
    k, groups = by_popularity(known)
    assert k == 10
    assert [(one.name, one.value, one.n, items) for one, items, _ in groups] == [
        ("not in training", 0.0, 6, 4),
        ("less popular half", 1 / 250, 250, 50),
        ("next two fifths", 20 / 200, 200, 40),
        ("most popular tenth", 30 / 50, 50, 10),
    ]
    assert [share for _, _, share in groups] == [0.0, 1 / 200, 80 / 200, 119 / 200]
    said = weaknesses(known)
    assert said[0].startswith(
        "Items that training does not have (4) stand in nobody's list; 6 test interactions"
    )
    assert said[1].startswith("Items of the less popular half: 0.4% of the test interactions")
    assert said[2].startswith("Items of the next two fifths: 10.0%")
    assert said[3:] == ["Lists: 75% of the catalogue stands in nobody's first 10."]
    level = {**DECILES, "wanted": [0, *[50] * 10], "hits@10": [0, *[10] * 10]}
    assert weaknesses(facts(result={"popularity_deciles": level})) == []


def test_users_are_told_apart_by_their_interactions() -> None:
    generator = np.random.default_rng(2)
    counts = np.repeat([0, 2, 5, 9], 30)
    values = np.repeat([0.1, 0.3, 0.31, 0.32], 30) + generator.normal(0, 0.01, 120)
    users = pd.DataFrame({"user": [f"u{n}" for n in range(120)], "ndcg@10": values, "n_training": counts})
    known = facts(result={"valid_metric": "NDCG@10"}, per_user=users)
    metric, groups = by_activity(known)
    assert metric == "ndcg@10"
    assert [(one.name, one.n) for one in groups] == [
        ("no interaction in training", 30),
        ("1 to 2 interactions", 30),
        ("3 to 5 interactions", 30),
        ("6 to 9 interactions", 30),
    ]
    assert groups[1].value == pytest.approx(values[30:60].mean())
    assert groups[1].low < groups[1].value < groups[1].high
    assert weaknesses(known)[0].startswith("Users with no interaction in training: NDCG@10 is 0.09")
    few = facts(result={"valid_metric": "ndcg@10"}, per_user=users[::10])
    assert by_activity(few) == ("ndcg@10", [])


@pytest.mark.parametrize(
    ("model", "kind", "loss", "words"),
    [
        ("BPR", "GENERAL", "PAIRWISE", "drawn by chance"),
        ("NeuMF", "GENERAL", "POINTWISE", "the pair's label"),
        ("MultiVAE", "GENERAL", "LISTWISE", "more probable among all items"),
        ("SASRec", "SEQUENTIAL", "POINTWISE", "the item that came next"),
        ("Pop", "TRADITIONAL", "POINTWISE", "everybody gets the same list"),
        ("EASE", "TRADITIONAL", "POINTWISE", "ridge regression"),
        ("NARRE", "GENERAL", "POINTWISE", "closer to the rating"),
    ],
)
def test_what_a_backbone_optimises(model: str, kind: str, loss: str, words: str) -> None:
    config = {"MODEL_TYPE": f"ModelType.{kind}", "MODEL_INPUT_TYPE": f"InputType.{loss}"}
    assert words in objective(facts(model=model, config=config))[0]


def test_objectives_of_enhancers() -> None:
    assert "replaced by the one of rvrec" in objective(facts(enhancers={"rvrec": {"objective": True}}))[0]
    assert "drawn by chance" in objective(facts(enhancers={"rvrec": {}}))[0]
    computed = facts(enhancers={"compress": {"teachers": {"ease": None, "softmax": None}}})
    assert "nothing remains" in objective(computed)[0]
    assert "`compress`: the scores of ease and softmax, mixed." in deciding(computed)
    own = objective(facts(enhancers={"mine": {}}))
    assert own[1] == "`mine`: an enhancer of its maker's own."


def test_the_last_epoch_allowed_is_told() -> None:
    result = {"best_epoch": 5, "n_epochs": 5, "valid_metric": "ndcg@10"}
    said = objective(facts(result=result, config={"epochs": 5}))[-1]
    assert "more might have been better" in said
    assert "more" not in objective(facts(result=result, config={"epochs": 50}))[-1]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            {"eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO"}},
            "80% of each user's interactions, drawn",
        ),
        (
            {"eval_args": {"split": {"RS": [8, 1, 1]}, "order": "TO", "group_by": "none"}},
            "80% of all interactions, the first in time",
        ),
        (
            {"eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO"}},
            "the last interaction is for the test",
        ),
        ({"benchmark_filename": ["a", "b", "c"]}, "files of their own"),
    ],
)
def test_splits_in_words(config: dict[str, Any], words: str) -> None:
    assert words in split_in_words(facts(config=config))


def test_runs_of_bench_have_cards(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    recbole = json.loads((run / "config.json").read_text(encoding="utf-8"))
    config = {"backbone": "BPR", "dataset": NAME, "enhancers": {}, "options": {"epochs": 2}, "seed": 2020}
    for name, content in (("metrics.json", result), ("config.json", {**config, "recbole": recbole})):
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    (folder / "DONE").touch()
    made = card(folder)
    assert made.title == f"BPR on {NAME}, seed 2020"
    assert not any(
        "burnish explain" in one for one in section(made, "What decides a recommendation").sentences
    )
    (folder / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"config\.json is damaged"):
        card(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"data": 7},
        {"data": {"users": 3}},
        {"test_result": {"ndcg@10": "x"}},
        {"seconds": [1]},
        {"popularity_deciles": {"hits@10": 3}},
    ],
)
def test_results_of_another_shape_are_damaged(change: dict[str, Any], run: Path, tmp_path: Path) -> None:
    there = tmp_path / "run"
    shutil.copytree(run, there)
    path = there / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **change}), encoding="utf-8")
    with pytest.raises(DataError, match=r"figures or settings in .*run are damaged .*; restore the file"):
        card(there)


def test_what_is_no_finished_run_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no run\.json"):
        card(tmp_path)
    content = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (tmp_path / "run.json").write_text(json.dumps({**content, "finished": False}), encoding="utf-8")
    with pytest.raises(DataError, match=f"has not ended; `burnish run --resume {tmp_path}` goes on"):
        card(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=r"result\.json is missing"):
        card(tmp_path)
    (tmp_path / "result.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(DataError, match="holds no mapping"):
        card(tmp_path)


def test_neither_model_nor_data_are_loaded(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import recbole.data.utils
    import safetensors.torch
    import torch

    loaded: list[str] = []
    for module, name in (
        (torch, "load"),
        (safetensors.torch, "load_file"),
        (recbole.data.utils, "create_dataset"),
    ):
        monkeypatch.setattr(module, name, lambda *args, name=name, **options: loaded.append(name))
    (run / "checkpoint.pth").rename(run / "elsewhere.pth")
    try:
        made = card(run)
    finally:
        (run / "elsewhere.pth").rename(run / "checkpoint.pth")
    assert made.title.startswith("BPR + softmax")
    assert not loaded


def test_users_with_as_many_interactions_each() -> None:
    per_user = pd.DataFrame({"user": ["a", "b", "c"], "n_training": [10, 10, 10]})
    facts: Any = SimpleNamespace(per_user=per_user)
    assert _of_users(facts) == " (most of the tested users have 10)"
    per_user["n_training"] = [1, 5, 21]
    assert "half of the tested users have 5 or fewer; most have 1 to 19" in _of_users(facts)

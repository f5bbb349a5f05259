"""Which options are settled, and for whom: what is given wins, and a run that works is left alone."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from cut_data import write_cut
from recbole.config import Config

import burnish
from burnish.benchmarks.harness.grid import run_plan
from burnish.benchmarks.harness.plan import make_plan
from burnish.benchmarks.harness.progress import Event
from burnish.benchmarks.harness.specs import RunSpec
from burnish.compat.habits import command_line
from burnish.enhancers.conformance.data import write_data
from burnish.enhancers.zoo import find_backbone, list_backbones
from burnish.errors import BurnishError, ConfigurationError, DataError
from burnish.files.whole import read_json
from burnish.settled.beside import Beside
from burnish.settled.table import OPTIONS, upper_quarter
from burnish.telling import summaries_told_to
from burnish.training.by_name import settled_options
from burnish.training.request import make_config

RECBOLE = Path(__import__("recbole").__file__).parent


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cut")
    write_cut(folder)
    return folder


def config_of(model: str, data: Path, name: str = "cut", **options: Any) -> Any:
    return make_config(find_backbone(model), name, {}, {"data_path": str(data), **options})


def plain_config(model: str, dataset: str = "ml-100k", **options: Any) -> Any:
    """RecBole's own, as `run_recbole` makes it."""
    with command_line(False):
        return Config(model, dataset, None, options)


# ---------------------------------------------------------------------- what is given


@pytest.mark.parametrize("model", ["SASRec", "GRU4Rec"])
def test_a_loss_that_takes_negatives_keeps_them(model: str, cut: Path) -> None:
    by_default = config_of(model, cut)
    assert by_default["train_neg_sample_args"]["distribution"] == "none"
    drawn = config_of(model, cut, loss_type="BPR")
    assert drawn["train_neg_sample_args"]["distribution"] == "uniform"
    assert "train_neg_sample_args" not in drawn.settled_options


def test_models_that_need_negatives_have_them(cut: Path) -> None:
    for model in ("FPMC", "TransRec", "BPR", "LightGCN", "NeuMF", "KGAT", "DIN"):
        assert config_of(model, cut)["train_neg_sample_args"]["distribution"] == "uniform", model


def test_what_is_given_wins_and_is_refused_as_before(cut: Path) -> None:
    drawn = {"distribution": "uniform", "sample_num": 1}
    with pytest.raises(ConfigurationError, match=r"SASRec with loss_type = CE compares with every item"):
        config_of("SASRec", cut, train_neg_sample_args=drawn)
    with pytest.raises(ConfigurationError, match=r"add timestamp to load_col\.inter"):
        config_of("SASRec", cut, load_col={"inter": ["user_id", "item_id"]})
    with pytest.raises(ConfigurationError, match="there is no label"):
        config_of("FM", cut, load_col={"inter": ["user_id", "item_id"]})
    assert config_of("FM", cut, threshold={"rating": 2})["threshold"] == {"rating": 2}
    with pytest.raises(ConfigurationError, match="threshold is null"):
        config_of("FM", cut, threshold=None)


def test_an_option_of_several_is_left_to_who_gave_one(tmp_path: Path) -> None:
    """Ranking instead of labels is settled as a whole or not at all."""
    _clicks(tmp_path)
    with pytest.raises(ConfigurationError, match="there is no label"):
        config_of("FM", tmp_path, "clicks", metrics=["AUC"], valid_metric="AUC")


# ---------------------------------------------------------------------- what works stays as it is


def test_nothing_is_settled_where_everything_is_given(cut: Path) -> None:
    """A config that was settled, given all that it has, is the same config, and nothing is settled again."""
    for model in list_backbones():
        try:
            first = config_of(model, cut)
        except BurnishError:
            continue
        given = {name: first.internal_config_dict[name] for name in first.settled_options}
        again = config_of(model, cut, **given)
        assert again.settled_options == {}, model
        assert again.final_config_dict == first.final_config_dict, model


def test_recboles_own_configs_stay_what_they_are() -> None:
    """Of ml-100k only what RecBole refuses by itself, or what ends in a crash, is settled."""
    changed = {}
    for model in list_backbones():
        try:
            find_backbone(model)
        except BurnishError:
            continue
        settled = plain_config(model).settled_options
        if settled:
            changed[model] = set(settled)
    ce = {
        model
        for model in changed
        if not hasattr(find_backbone(model), "input_type") and plain_config(model)["loss_type"] == "CE"
    }
    assert len(ce) >= 24
    assert {model: names for model, names in changed.items() if model not in ce} == {"NCL": {"num_clusters"}}
    graphs = {"GRU4RecKG", "KSR"}
    assert all(changed[model] == {"train_neg_sample_args"} for model in ce - graphs)
    assert all(changed[model] == {"train_neg_sample_args", "load_col"} for model in graphs)


def test_a_run_that_recbole_makes_by_itself_is_its_own(cut: Path) -> None:
    """Only burnish's runs of RepeatNet are changed: RecBole goes on, and takes drawn items for targets."""
    assert plain_config("RepeatNet")["train_neg_sample_args"]["distribution"] == "uniform"
    assert config_of("RepeatNet", cut)["train_neg_sample_args"]["distribution"] == "none"


def test_run_recbole_says_what_was_settled(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "burnish"):
        config = plain_config("SASRec")
    assert config["MODEL_INPUT_TYPE"].name == "POINTWISE"
    assert caplog.messages == ["SASRec's loss CE takes no drawn negatives: train_neg_sample_args is null"]


# ---------------------------------------------------------------------- runs


SMALL = {
    "epochs": 1,
    "hidden_size": 8,
    "inner_size": 8,
    "n_layers": 1,
    "n_heads": 1,
    "MAX_ITEM_LIST_LENGTH": 5,
}


def test_a_run_says_and_records_it(cut: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    options = {**SMALL, "data_path": str(cut), "threads": 1}
    with summaries_told_to(lines.append):
        by_name = burnish.run("SASRec", "cut", config=options, folder=tmp_path / "a", show_progress=False)
    assert lines[:2] == [
        "SASRec's loss CE takes no drawn negatives: train_neg_sample_args is null",
        "SASRec reads times (timestamp): load_col is {inter: [user_id, item_id, timestamp]}",
    ]
    text = (tmp_path / "a" / "run.json").read_text()
    assert re.search(r'"train_neg_sample_args": null,', text)
    by_hand = burnish.run(
        "SASRec",
        "cut",
        config={
            **options,
            "train_neg_sample_args": None,
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        },
        show_progress=False,
    )
    assert by_hand.test_result == by_name.test_result
    assert by_hand.losses == by_name.losses
    lines.clear()
    with summaries_told_to(lines.append):
        longer = burnish.run(resume=tmp_path / "a", config={"epochs": 2}, show_progress=False)
    assert longer.n_epochs == 2
    assert not [line for line in lines if "SASRec" in line]


def test_whole_histories_from_the_name(cut: Path) -> None:
    options = {
        **SMALL,
        "data_path": str(cut),
        "threads": 1,
        "sequence_training": "whole",
        "hidden_dropout_prob": 0.0,
    }
    assert burnish.run("SASRec", "cut", config=options, show_progress=False).n_epochs == 1


def test_columns_of_other_names(cut: Path, tmp_path: Path) -> None:
    """What the settled columns are called is for the options to say."""
    folder = tmp_path / "shop"
    folder.mkdir()
    text = (cut / "cut" / "cut.inter").read_text()
    for old, new in (("user_id", "customer"), ("item_id", "sku"), ("timestamp", "when"), ("rating", "stars")):
        text = text.replace(old, new)
    (folder / "shop.inter").write_text(text)
    names = {
        "USER_ID_FIELD": "customer",
        "ITEM_ID_FIELD": "sku",
        "TIME_FIELD": "when",
        "RATING_FIELD": "stars",
    }
    assert config_of("SASRec", tmp_path, "shop", **names)["load_col"] == {
        "inter": ["customer", "sku", "when"]
    }
    assert config_of("BPR", tmp_path, "shop", **names)["load_col"] == {"inter": ["customer", "sku"]}
    assert config_of("FM", tmp_path, "shop", **names)["threshold"] == {"stars": 4}


# ---------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    ("levels", "least"),
    [
        ([1, 2, 3, 4, 5], 4),
        ([half / 2 for half in range(1, 11)], 4),
        (list(range(1, 11)), 8),
        ([0, 1], 1),
        ([0.5, 0.75], 0.75),
        ([1], None),
        ([], None),
    ],
)
def test_the_upper_quarter_of_a_scale(levels: list[float], least: float | None) -> None:
    assert upper_quarter([float(level) for level in levels]) == least


def test_the_threshold_depends_on_no_row(cut: Path, tmp_path: Path) -> None:
    """Other ratings in any rows, on the same scale, give the same labels' bound."""
    head, *rows = (cut / "cut" / "cut.inter").read_text().splitlines()
    (tmp_path / "low").mkdir()

    def threshold(ratings: list[int]) -> Any:
        cells = [row.split("\t") for row in rows]
        lines = [
            "\t".join([*one[:2], str(rating), one[3]]) for one, rating in zip(cells, ratings, strict=True)
        ]
        (tmp_path / "low" / "low.inter").write_text("\n".join([head, *lines]) + "\n")
        return config_of("FM", tmp_path, "low")["threshold"]

    most = [1] * (len(rows) - 2)
    assert threshold([*most, 4, 5]) == threshold([4, 5, *most]) == {"rating": 4}
    assert threshold([*most, 1, 5]) == {"rating": 5}  # the least there is of the upper quarter
    assert threshold([*([5] * len(most)), 1, 4]) == {"rating": 4}


def test_labels_that_are_there_are_read(cut: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ads"
    folder.mkdir()
    head, *rows = (cut / "cut" / "cut.inter").read_text().splitlines()
    labelled = [f"{head}\tlabel:float", *(f"{row}\t{number % 2}" for number, row in enumerate(rows))]
    (folder / "ads.inter").write_text("\n".join(labelled) + "\n")
    config = config_of("FM", tmp_path, "ads")
    assert config["threshold"] is None
    assert config["load_col"] == {"inter": ["user_id", "item_id", "label"]}


def _clicks(folder: Path) -> None:
    target = write_cut(folder, "clicks", files=("inter",))
    lines = (target / "clicks.inter").read_text().splitlines()
    (target / "clicks.inter").write_text("\n".join("\t".join(line.split("\t")[:2]) for line in lines) + "\n")


def test_clicks_are_ranked(tmp_path: Path) -> None:
    """A context model on data with neither labels nor ratings."""
    _clicks(tmp_path)
    config = {"data_path": str(tmp_path), "epochs": 1, "threads": 1, "embedding_size": 4}
    result = burnish.run("FM", "clicks", config=config, show_progress=False)
    assert 0 < result.test_result["ndcg@10"] < 1


# ---------------------------------------------------------------------- what lies beside


def test_features_are_columns_whose_values_repeat() -> None:
    """On ml-100k itself: what RecBole's authors chose for it, and no titles or postcodes."""
    beside = Beside(RECBOLE / "dataset_example" / "ml-100k", "ml-100k")
    kinds = ("token", "token_seq")
    assert beside.features("user", kinds, ("user_id",)) == ["age", "gender", "occupation"]
    assert beside.features("item", kinds, ("item_id",)) == ["release_year", "class"]
    assert beside.features("item", ("token",), ("item_id",)) == ["release_year"]
    assert beside.levels("rating") == [1, 2, 3, 4, 5]
    assert beside.levels("timestamp") == []
    assert beside.fewest(("user_id", "item_id"), 1000) == 943
    assert beside.fewest(("user_id", "item_id"), 500) == 500


def test_nothing_is_raised_for_files_that_are_not_there(tmp_path: Path) -> None:
    beside = Beside(tmp_path, "none", encoding="utf-16")
    assert beside.columns("inter") == {}
    assert beside.features("item", ("token",), ()) == []
    assert beside.levels("rating") == []
    (tmp_path / "none.inter").write_bytes(b"\xff\xfe\x00 broken\n")
    assert Beside(tmp_path, "none").columns("inter") == {}


@pytest.mark.parametrize("model", ["FDSA", "GRU4RecF", "SASRecF", "S3Rec"])
def test_other_features_of_items(model: str, cut: Path, tmp_path: Path) -> None:
    target = write_cut(tmp_path, "books")
    head, *rows = (target / "books.item").read_text().splitlines()
    (target / "books.item").write_text("\n".join([head.replace("class", "topics"), *rows]) + "\n")
    config = config_of(model, tmp_path, "books")
    chosen = "topics" if model == "S3Rec" else ["release_year", "topics"]
    assert config["item_attribute" if model == "S3Rec" else "selected_features"] == chosen
    (target / "books.item").unlink()
    with pytest.raises(
        DataError, match=r"describe items .*there is no .*books\.item.*put such a column there"
    ):
        config_of(model, tmp_path, "books")


@pytest.mark.parametrize("model", ["KGAT", "CKE"])
@pytest.mark.parametrize("missing", ["kg", "link"])
def test_a_graph_that_is_not_there(model: str, missing: str, tmp_path: Path) -> None:
    target = write_cut(tmp_path, "bare")
    (target / f"bare.{missing}").unlink()
    with pytest.raises(
        DataError, match=rf"bare\.{missing} does not exist, and {model} reads .*as in \w+_id:token"
    ):
        config_of(model, tmp_path, "bare")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", ["GRU4RecKG", "KSR"])
def test_vectors_of_entities_that_lie_beside(model: str, tmp_path: Path) -> None:
    write_data(tmp_path)
    sizes = {**SMALL, "embedding_size": 8, "kg_embedding_size": 8, "topk": [5], "valid_metric": "MRR@5"}
    config = {**sizes, "data_path": str(tmp_path), "threads": 1, "freeze_kg": False}
    assert burnish.run(model, "conformance", config=config, show_progress=False).n_epochs == 1


def test_clusters_of_few_users() -> None:
    config = config_of("NCL", Path("dataset"), "ml-100k")
    assert config["num_clusters"] == 94
    assert config.settled_options["num_clusters"].endswith("of which there are few: num_clusters is 94")


@pytest.mark.filterwarnings("ignore")
def test_more_is_drawn_than_there_is(cut: Path) -> None:
    common = {"data_path": str(cut), "epochs": 1, "threads": 1, "embedding_size": 8}
    with pytest.raises(ConfigurationError, match=r"num_clusters = 70; give 60 at most"):
        burnish.run("NCL", "cut", config={**common, "num_clusters": 70}, show_progress=False)
    with pytest.raises(ConfigurationError, match=r"train_batch_size of (\d+) at most") as refused:
        burnish.run("DGCF", "cut", config=common, show_progress=False)
    most = int(re.findall(r"train_batch_size of (\d+)", str(refused.value))[0])
    config = {**common, "train_batch_size": most}
    assert burnish.run("DGCF", "cut", config=config, show_progress=False).n_epochs == 1


# ---------------------------------------------------------------------- comparisons


def test_runs_of_a_comparison_are_found_where_they_were_given_it(cut: Path) -> None:
    options = {"data_path": str(cut), "epochs": 3}
    by_name = RunSpec("cut", "SASRec", "SASRec", "plain", 1, {}, options)
    columns = {"inter": ["user_id", "item_id", "timestamp"]}
    by_hand = RunSpec(
        "cut",
        "SASRec",
        "SASRec",
        "plain",
        1,
        {},
        {**options, "train_neg_sample_args": None, "load_col": columns},
    )
    assert by_name.settled == {"train_neg_sample_args": None, "load_col": columns}
    assert by_hand.settled == {}
    assert by_name.digest == by_hand.digest
    assert by_name.as_dict()["options"] == options
    tried = RunSpec("cut", "SASRec", "SASRec", "plain", 1, {}, {**options, "loss_type": "BPR"})
    assert "train_neg_sample_args" not in tried.settled
    assert tried.digest != by_name.digest


@pytest.mark.filterwarnings("ignore")
def test_arms_and_floors_are_asked_the_same(cut: Path, tmp_path: Path) -> None:
    """A plan that names SASRec and says nothing of what it needs, beside a floor that reads no times by itself."""
    plan = make_plan(
        {
            "dataset": "cut",
            "backbones": ["SASRec"],
            "arms": {"softmax": "softmax"},
            "floors": ["Pop"],
            "seeds": [1],
            "options": {**SMALL, "data_path": str(cut)},
            "runs": str(tmp_path),
            "threads": 1,
        }
    )
    events: list[Event] = []
    records = run_plan(plan, quiet=True, on_event=events.append)
    assert [record.status for record in records] == ["done"] * 3
    told = [event.message for event in events if event.kind == "settled"]
    assert told == [
        "SASRec: SASRec's loss CE takes no drawn negatives: train_neg_sample_args is null",
        "SASRec: SASRec reads times (timestamp): load_col is {inter: [user_id, item_id, timestamp]}",
    ]
    configs = {one.arm: read_json(one.folder / "config.json", "") for one in records}
    assert configs["plain"]["settled"] == configs["softmax"]["settled"]
    assert set(configs["plain"]["settled"]) == {"train_neg_sample_args", "load_col"}
    for option in ("load_col", "eval_args", "threshold"):
        assert len({str(config["recbole"][option]) for config in configs.values()}) == 1, option
    cases = {read_json(one.folder / "metrics.json", "")["test_cases"] for one in records}
    assert len(cases) == 1
    assert [record.status for record in run_plan(plan, quiet=True)] == ["kept"] * 3


def test_runs_of_before_keep_their_names(cut: Path) -> None:
    """Nothing is settled for what ran already, so its digest is of what was given."""
    for model in ("BPR", "Pop", "EASE", "LightGCN", "KGAT", "MultiVAE", "EMF"):
        assert settled_options(model, "cut", {"data_path": str(cut)}) == {}, model
    named = {"data_path": str(cut), "USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id"}
    assert settled_options("BPR", "cut", named) == {}


def test_a_run_of_before_goes_on_as_it_began(cut: Path, tmp_path: Path) -> None:
    """An older burnish drew items for RepeatNet, and said nothing of it among the run's options."""
    drawn = {"distribution": "uniform", "sample_num": 1}
    options = {
        **SMALL,
        "data_path": str(cut),
        "threads": 1,
        "embedding_size": 8,
        "train_neg_sample_args": drawn,
    }
    burnish.run("RepeatNet", "cut", config=options, folder=tmp_path / "a", show_progress=False)
    file = tmp_path / "a" / "run.json"
    content = json.loads(file.read_text())
    del content["options"]["train_neg_sample_args"]
    file.write_text(json.dumps(content))
    assert burnish.load_run(tmp_path / "a").config["train_neg_sample_args"]["distribution"] == "uniform"


def test_rows_are_told_apart() -> None:
    assert len({row.why for row in OPTIONS}) == len(OPTIONS)

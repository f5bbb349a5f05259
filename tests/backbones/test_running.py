"""burnish's own backbones where RecBole's models run: quick start, options of data sets, refusals before training."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from review_world import NAME, rows_of, write_reviews
from tiny_encoder import save_tiny_encoder

import burnish
from burnish.backbones.rating_model import RatingModel
from burnish.enhancers.zoo import find_backbone, list_backbones
from burnish.errors import BurnishError, ConfigurationError, DataError, UnsupportedError

OWN = [name for name, kind in list_backbones().items() if kind in ("ratings", "reviews")]
RANKED = {"metrics": ["NDCG"], "valid_metric": "NDCG@10"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_reviews(tmp_path_factory.mktemp("data"))
    save_tiny_encoder(folder / "encoder")
    return folder


def options(data: Path, **more: Any) -> dict[str, Any]:
    small = {
        "epochs": 1,
        "embedding_size": 4,
        "train_batch_size": 32,
        "word_width": 4,
        "filters": 4,
        "threads": 1,
    }
    text = {"text_encoder": str(data / "encoder"), "text_folder": str(data / "text"), "show_progress": False}
    return {"data_path": str(data), "checkpoint_dir": str(data / "saved"), **small, **text, **more}


def run(model: str, data: Path, name: str = NAME, **more: Any) -> Any:
    return burnish.run(model, name, config=options(data, **more), show_progress=False)


def rewritten(data: Path, name: str, head: str, columns: tuple[int, ...] = (0, 1, 2, 3)) -> str:
    """The data set again under another name, with other column names and perhaps fewer columns."""
    home = data / name
    home.mkdir(exist_ok=True)
    lines = ["\t".join(str(row[at]) for at in columns) for row in rows_of()]
    (home / f"{name}.inter").write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return name


@pytest.mark.parametrize("name", OWN)
def test_recboles_own_quick_start(name: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recbole.quick_start import run_recbole

    monkeypatch.setattr(sys, "argv", ["x"])
    monkeypatch.chdir(data)
    result = run_recbole(model=name, dataset=NAME, config_dict=options(data))
    assert set(result["test_result"]) == {"rmse", "mae"}
    assert 0 < result["test_result"]["rmse"] < 4
    assert not result["valid_score_bigger"]


@pytest.mark.parametrize("name", OWN)
def test_half_precision(name: str, data: Path) -> None:
    half, whole = (run(name, data, enable_amp=amp).test_result["rmse"] for amp in (True, False))
    assert half == pytest.approx(whole, rel=0.02)


def test_labels_follow_the_column_of_ratings(data: Path) -> None:
    head = "uid:token\tiid:token\tstars:float\twhen:float"
    names = {"USER_ID_FIELD": "uid", "ITEM_ID_FIELD": "iid", "RATING_FIELD": "stars", "TIME_FIELD": "when"}
    renamed = run("EMF", data, rewritten(data, "renamed", head), **names)
    assert renamed.test_result == run("EMF", data).test_result


def test_another_label_is_refused_where_errors_are_measured(data: Path) -> None:
    head = "user_id:token\titem_id:token\trating:float\tlabel:float"
    rewritten(data, "labelled", head, (0, 1, 2, 2))
    with pytest.raises(
        ConfigurationError, match="LABEL_FIELD = 'label', but EMF predicts RATING_FIELD = 'rating'"
    ):
        run("EMF", data, "labelled", LABEL_FIELD="label")
    ranked = run("EMF", data, "labelled", LABEL_FIELD="label", eval_args={"mode": "full"}, **RANKED)
    assert 0 < ranked.test_result["ndcg@10"] <= 1


def test_each_evaluation_argument_stands_alone(data: Path) -> None:
    """RecBole's default is to rank all items, which these models' metrics are not for."""
    result = run("EMF", data, eval_args={"order": "TO"})
    assert result.config["eval_args"]["mode"] == {"valid": "labeled", "test": "labeled"}
    assert result.config["eval_args"]["order"] == "TO"
    assert result.test_result["rmse"] > 0
    plain = run("BPR", data, eval_args={"order": "TO"}, load_col=None, **RANKED)
    assert plain.config["eval_args"]["mode"] == {"valid": "full", "test": "full"}


def test_without_times(data: Path) -> None:
    rewritten(data, "timeless", "user_id:token\titem_id:token\trating:float", (0, 1, 2))
    for name in ("DReX", "EMF"):
        result = run(name, data, "timeless", review_file="none", modalities=["rating"])
        assert result.test_result["rmse"] > 0


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (RANKED, r"metrics = \['NDCG'\]: these rank items, but eval_args.mode = labeled"),
        ({"eval_args": {"mode": "full"}}, "RMSE, MAE, AUC and LogLoss go with"),
        ({"train_neg_sample_args": {"distribution": "uniform"}}, "would write 0 and 1 over them"),
        (
            {"load_col": {"inter": ["user_id", "item_id"]}},
            "no column 'rating' of ratings; RATING_FIELD names it",
        ),
        ({"RATING_FIELD": "stars"}, "no column 'stars' of ratings"),
        (
            {"USER_ID_FIELD": "user"},
            "no column 'user'; it has 'user_id', 'item_id', 'rating', 'timestamp'. USER_ID",
        ),
        ({"embedding_size": 0}, "embedding_size = 0: give a whole number, 1 or more"),
    ],
)
@pytest.mark.parametrize("name", ["EMF", "DReX"])
def test_refused_before_training(name: str, more: dict[str, Any], says: str, data: Path) -> None:
    with pytest.raises(BurnishError, match=says) as caught:
        run(name, data, **more)
    assert isinstance(caught.value, ConfigurationError | DataError)


@pytest.mark.parametrize(
    ("name", "more", "says"),
    [
        ("DReX", {"dropout_prob": 1.5}, "dropout_prob = 1.5: give a share"),
        ("DReX", {"state_penalty": "much"}, "state_penalty = 'much': give a number, 0 or more"),
        ("DReXMLP", {"initial_hidden_size": 0}, "initial_hidden_size = 0"),
        ("EMF", {"explain_threshold": "high"}, "explain_threshold = 'high': give a number"),
    ],
)
def test_impossible_options(name: str, more: dict[str, Any], says: str, data: Path) -> None:
    with pytest.raises(ConfigurationError, match=says):
        run(name, data, **more)


def test_a_subclass_settles_its_options_too(data: Path) -> None:
    class Mine(find_backbone("EMF")):  # type: ignore[misc]
        pass

    assert issubclass(Mine, RatingModel)
    with pytest.raises(ConfigurationError, match="these rank items"):
        burnish.run(Mine, NAME, config=options(data, **RANKED), show_progress=False)


# ------------------------------------------------------------------ once it is trained


@pytest.mark.parametrize("name", OWN)
def test_a_run_recommends_and_exports(name: str, data: Path, tmp_path: Path) -> None:
    result = burnish.run(name, NAME, config=options(data), folder=tmp_path / "run", show_progress=False)
    frame = burnish.recommend(tmp_path / "run", users=["u0", "u3"], k=2)
    model, field = result.model.eval(), result.dataset.token2id
    with torch.no_grad():
        ratings = model.rate_all(torch.tensor([field("user_id", "u0")]))[0]
    assert frame["score"].tolist()[0] == pytest.approx(float(ratings[field("item_id", frame["item"][0])]))
    known = {(user, item) for user, item, *_ in rows_of()}
    assert not known & set(zip(frame["user"], frame["item"], strict=True))
    if name == "EMF":  # its tables are its factors
        with pytest.raises(UnsupportedError, match="EMF does not propagate"):
            burnish.export_embeddings(tmp_path / "run", kind="output")
        return
    users, items = model.output_vectors()
    for side, expected in (("user", users), ("item", items)):
        vectors = burnish.export_embeddings(tmp_path / "run", side=side, kind="output").vectors
        torch.testing.assert_close(torch.from_numpy(vectors), expected[1:].detach())


def test_a_run_of_before_an_option_was_there(data: Path, tmp_path: Path) -> None:
    """A later burnish has options that an earlier one did not know; they stand at their defaults."""
    folder = tmp_path / "run"
    result = burnish.run("EMF", NAME, config=options(data), folder=folder, show_progress=False)
    written = json.loads((folder / "run.json").read_text())
    places = [
        part for part in (written, *written.values()) if isinstance(part, dict) and "rating_scale" in part
    ]
    assert places
    for part in places:
        del part["rating_scale"]
    (folder / "run.json").write_text(json.dumps(written))
    loaded = burnish.load_run(folder).model.eval()
    everybody = torch.arange(1, loaded.n_users)
    torch.testing.assert_close(loaded.rate_all(everybody), result.model.eval().rate_all(everybody))
    with pytest.raises(ConfigurationError, match=r"rating_scale = \[0, 5\] now, and None in"):
        burnish.run(resume=folder, config={"rating_scale": [0, 5], "epochs": 2}, show_progress=False)

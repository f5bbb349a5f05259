"""Backbones that explain themselves: asked before the enhancers, with the same words for the same things."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from review_world import NAME, StandInStore, rows_of, write_reviews
from rich.console import Console
from typer.testing import CliRunner

import burnish
from burnish.backbones.drex.drex import DReX
from burnish.cli.explain_tables import show
from burnish.cli.main import app
from burnish.errors import ConfigurationError, UnknownNameError, UnsupportedError
from burnish.explanation import Reason
from burnish.files.data_names import data_names
from burnish.trained.explain import Explainer, explain
from burnish.trained.explanation_formats import line
from burnish.trained.keyword_profiles import keyword_profiles, save_profiles
from burnish.trained.open import open_trained
from burnish.trained.page import to_page
from burnish.training.train import train

FEW = {"threads": 1, "epochs": 2, "embedding_size": 8, "train_batch_size": 16, "keep_profile_words": 4}


@pytest.fixture(autouse=True, scope="module")
def stand_in_tokens() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "burnish.backbones.drex.configured_modalities.open_tokens",
            lambda texts, config: StandInStore(texts),
        )
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_reviews(tmp_path_factory.mktemp("data"), rows_of())
    names = "".join(f"i{item}\tThe {item} [tales]\n" for item in range(9))
    (folder / NAME / f"{NAME}.item").write_text("item_id:token\ttitle:token_seq\n" + names, encoding="utf-8")
    numbers = "".join(f"i{item}\t{item}\t{(7 * item) % 9}\n" for item in range(9))
    (folder / "scores.tsv").write_text("item_id\twarmth\tspeed\n" + numbers, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "drex"
    train("DReX", NAME, options={**FEW, "data_path": str(data)}, folder=folder)
    return folder


@pytest.fixture(scope="module")
def guided(data: Path) -> Any:
    options = {**FEW, "data_path": str(data)}
    return open_trained(
        train("DReX", NAME, options=options, enhancers={"guided": {"scores": str(data / "scores.tsv")}})
    )


def call(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def test_words_as_reasons_with_titles(run: Path) -> None:
    source = open_trained(run)
    explanations = explain(source, ["u1", "u4"], top=3, reasons=2)
    assert len(explanations) > 2
    for one in explanations:
        user, item = (
            int(source.dataset.token2id(field, token))
            for field, token in (("user_id", one.user), ("item_id", one.item))
        )
        own = source.model.explain(user, item)[:2]
        assert [reason.contribution for reason in one.reasons] == [reason.contribution for reason in own]
        for reason, plain in zip(one.reasons, own, strict=True):
            assert f"so do others of item {one.item}." in plain.text
            assert f"so do others of {one.title}." in reason.text
            other = reason.evidence["item"]
            assert f"You wrote of The {other[1:]} [tales]: “" in reason.text
            assert line(reason).startswith(f"{reason.contribution:.4f}  {reason.evidence['word']}: ")
            assert reason.evidence["item_sentence"] in line(reason)


def test_more_words_than_a_profile_shows(run: Path) -> None:
    source = open_trained(run)
    source.model.keep_profile_words = 2
    (few,), (every,) = (explain(source, "u1", top=1, reasons=n) for n in (2, 1000))
    assert len(few.reasons) == 2 < len(every.reasons)
    assert every.reasons[:2] == few.reasons


def test_the_backbone_is_asked_first_and_by_name(guided: Any) -> None:
    assert type(guided.model) is not DReX
    assert [one.name for one in Explainer(guided).givers] == ["DReX", "guided"]
    kinds = [reason.kind for reason in explain(guided, "u1", top=1, reasons=2)[0].reasons]
    assert kinds == ["keyword", "keyword", "attribute", "attribute"]
    for name in ("DReX", "backbone"):
        assert {r.kind for r in explain(guided, "u1", top=1, enhancer=name)[0].reasons} == {"keyword"}
    assert {r.kind for r in explain(guided, "u1", top=1, enhancer="guided")[0].reasons} == {"attribute"}
    with pytest.raises(UnknownNameError, match="Did you mean 'DReX'"):
        explain(guided, "u1", enhancer="DRex")
    words = Explainer(guided).profile("user", "u1")
    assert words is not None
    assert 1 <= len(words) <= 4
    assert Explainer(guided, enhancer="guided").profile("user", "u1").keys() == {"warmth", "speed"}  # type: ignore[union-attr]


def test_the_profiles_of_an_enhanced_backbone_are_its_own(guided: Any) -> None:
    words = keyword_profiles(guided, "item", 3)
    number = int(guided.dataset.token2id("item_id", "i4"))
    mine = words[words["id"] == "i4"]
    assert list(zip(mine["word"], mine["mass"], strict=True)) == [
        (word, pytest.approx(mass)) for word, mass in guided.model.profile("item", number, 3)
    ]


def test_a_backbone_that_is_silent_says_why(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_trained(run)
    monkeypatch.setattr(source.model, "explain", lambda user, item: [])
    monkeypatch.setattr(source.model, "no_reason", lambda user, item: "nobody wrote a word")
    one = explain(source, "u1", "i1")[0]
    assert one.reasons == ()
    assert "DReX has no reason to give: nobody wrote a word" in one.note
    monkeypatch.setattr(source.model, "no_reason", lambda user, item: None)
    assert "DReX has no reason to give: it knows of none for this pair" in explain(source, "u1", "i1")[0].note


def test_backbones_without_words(data: Path) -> None:
    options = {**FEW, "data_path": str(data)}
    ratings = open_trained(train("DReX", NAME, options={**options, "modalities": ["rating"]}))
    with pytest.raises(UnsupportedError, match="no reasons to be had"):
        explain(ratings, "u1", enhancer="backbone")
    assert {reason.kind for reason in explain(ratings, "u1", top=1)[0].reasons} == {"interaction"}
    with pytest.raises(UnsupportedError, match=r"modalities: \[review, rating\]"):
        keyword_profiles(ratings)
    plain = open_trained(train("BPR", NAME, options={"threads": 1, "epochs": 1, "data_path": str(data)}))
    with pytest.raises(UnsupportedError, match="BPR has no keyword profiles; DReX and DReXMLP have"):
        keyword_profiles(plain)
    with pytest.raises(UnsupportedError, match=r"\(BPR\).*Backbones that explain themselves: .*DReX"):
        explain(plain, "u1", enhancer="backbone")


def test_rows_that_the_model_predicts_from_reach_a_backbone(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_trained(run)
    seen: list[Any] = []

    def with_row(user: int, item: int, row: Any = None) -> list[Reason]:
        seen.append((user, int(row["user_id"][0]), item, int(row["item_id"][0])))
        return [Reason("review", "so it is", 0.5)]

    monkeypatch.setattr(source.model, "explain", with_row)
    assert explain(source, "u1", "i3")[0].reasons[0].kind == "review"
    assert seen[0][0] == seen[0][1]
    assert seen[0][2] == seen[0][3]


def test_neighbours_as_reasons(data: Path) -> None:
    """EMF, another backbone that explains itself, by way of the same function."""
    source = open_trained(train("EMF", NAME, options={**FEW, "data_path": str(data), "n_neighbours": 5}))
    explanations = explain(source, ["u1", "u2", "u3"], [f"i{item}" for item in range(9)])
    assert {reason.kind for one in explanations for reason in one.reasons} == {"neighbour"}
    assert all(one.reasons or "EMF has no reason to give" in one.note for one in explanations)
    with pytest.raises(UnsupportedError, match="EMF has no keyword profiles"):
        keyword_profiles(source)


# ---------------------------------------------------------------- as a table


@pytest.mark.parametrize("format", ["parquet", "tsv", "csv", "json"])
def test_profiles_as_a_file(format: str, run: Path, tmp_path: Path) -> None:
    target = tmp_path / f"words.{format}"
    done = call("profiles", str(run), "--out", str(target), "--top", "2")
    assert done.exit_code == 0, done.output
    assert f"written: {target}" in done.stderr.replace("\n", "")
    readers: dict[str, Any] = {
        "parquet": pd.read_parquet,
        "tsv": lambda path: pd.read_csv(path, sep="\t"),
        "csv": pd.read_csv,
        "json": lambda path: pd.read_json(path, lines=True),
    }
    saved = readers[format](target)
    wanted = keyword_profiles(run, "both", 2)
    assert list(saved.columns) == ["side", "id", "rank", "word", "mass", "share", "n_reviews"]
    for column in ("side", "id", "rank", "word", "n_reviews"):
        assert list(saved[column]) == list(wanted[column])
    assert list(saved["mass"]) == pytest.approx(list(wanted["mass"]))
    assert set(wanted["side"]) == {"user", "item"}
    assert wanted["rank"].max() == 2


def test_profiles_on_the_screen_and_of_one_side(run: Path) -> None:
    done = call("profiles", str(run), "--side", "item", "-q")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "side\tid\trank\tword\tmass\tshare\tn_reviews"
    assert {text.split("\t")[0] for text in lines[1:]} == {"item"}
    assert call("profiles", str(run), "--side", "item", "-q", "--weighting", "excess").stdout != done.stdout
    assert max(int(text.split("\t")[2]) for text in lines[1:]) == 4  # keep_profile_words


def test_what_cannot_be_is_refused(run: Path, tmp_path: Path) -> None:
    for words, says in (
        (["--side", "items"], "Did you mean 'item'"),
        (["--top", "0"], "top = 0"),
        (["--weighting", "exces"], "Did you mean 'excess'"),
        (["--format", "parquet"], "parquet needs a file"),
        (["--out", str(tmp_path / "words.xlsx")], "'.xlsx' names no format"),
    ):
        done = call("profiles", str(run), *words)
        assert done.exit_code == 2, done.output
        assert says in done.output.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigurationError, match="is a folder"):
        save_profiles(keyword_profiles(run, "user", 1), tmp_path, "csv")
    assert burnish.keyword_profiles is keyword_profiles


def test_the_verb_explain_with_words(run: Path, tmp_path: Path) -> None:
    words = ["explain", "--run", str(run), "--user", "u1", "--top", "2", "--profile"]
    done = call(*words, "--format", "json", "-q")
    assert done.exit_code == 0, done.output
    explanations = [json.loads(text) for text in done.stdout.splitlines()]
    assert len(explanations) == 2
    for one in explanations:
        assert one["reasons"][0]["kind"] == "keyword"
        assert one["reasons"][0]["evidence"]["word"] in one["reasons"][0]["text"]
        assert 1 <= len(one["user_profile"]) <= 4
    target = tmp_path / "why.txt"
    assert call(*words, "--out", str(target), "--enhancer", "backbone").exit_code == 0
    text = target.read_text(encoding="utf-8")
    assert "reasons, with their weight" in text
    word, mass = next(iter(explanations[0]["user_profile"].items()))
    assert f"{word} {mass:.2f}" in text
    assert f"{explanations[0]['reasons'][0]['contribution']:.4f}" in text


def test_a_predicted_rating_is_shown_on_its_scale(run: Path, tmp_path: Path) -> None:
    source = open_trained(run)
    model = source.model
    assert model.scale == (1.0, 5.0)
    (before,) = explain(source, "u1", top=1)
    model.output.bias.data += 5.25 - before.score
    (one,) = explain(source, "u1", top=1)
    assert one.score == pytest.approx(5.25, abs=1e-4)
    assert one.shown == 5
    assert one.to_text().splitlines()[0].endswith("rank 1, score 5")
    assert "DReX predicts 5.25, beyond the scale of ratings from 1 to 5, and 5 is shown" in one.note
    assert ": score 5<" in one._repr_html_()
    console = Console(file=io.StringIO(), width=200)
    show(console, [one], None, data_names(source.config))
    assert "5.0000" in console.file.getvalue()
    assert "score 5<" in to_page(Explainer(source, top=1), [one])
    model.output.bias.data -= 10
    (low,) = explain(source, "u1", top=1)
    assert (low.shown, round(low.score, 2)) == (1, -4.75)
    model.output.bias.data += 4.75 + 3
    (within,) = explain(source, "u1", top=1)
    assert within.shown == within.score == pytest.approx(3, abs=1e-4)
    assert "scale" not in within.note

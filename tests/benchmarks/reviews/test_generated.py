"""Sentences of a model beside those of the test reviews, their floors, and their table in the report."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from review_world import NAME, rows_of, write_reviews

from burnish.benchmarks.reviews.__main__ import main
from burnish.benchmarks.reviews.generated import (
    COMMONEST,
    RANDOM_SENTENCE,
    commonest,
    drawn,
    sentence_frame,
    sentence_summary,
)
from burnish.benchmarks.reviews.judging import Judgement
from burnish.benchmarks.reviews.text_measures import bleu, rouge_l, rouge_n


class Split:
    """A part of a data set with texts, as far as `sentence_frame` reads it."""

    uid_field, iid_field = "user_id", "item_id"

    def __init__(self, rows: list[tuple[int, int, str]]) -> None:
        users, items, self._texts = (list(column) for column in zip(*rows, strict=True))
        self.inter_feat = {"user_id": np.array(users), "item_id": np.array(items)}

    def training_texts(self) -> list[str]:
        return self._texts

    def id2token(self, field: str, ids: Any) -> Any:
        return np.array([f"{field[0]}{number}" for number in ids])


class Parrot:
    """Writes the same words of an item to all; notes what it was shown."""

    def __init__(self) -> None:
        self.written = SimpleNamespace(
            reference=lambda text: text.split() or None,
            said=lambda words: set(words) & {"strap", "cable"},
            features=["cable", "strap", "tuner", "pick"],
        )
        self.shown: list[tuple[int, int]] = []

    def write(self, users: Any, items: Any) -> list[Any]:
        self.shown += list(zip(users.tolist(), items.tolist(), strict=True))
        words = {1: ("a", "strap"), 2: ("a", "cable", "here")}
        return [SimpleNamespace(words=words[item]) for item in items.tolist()]


TRAIN = Split(
    [(1, 1, "fine strap"), (2, 1, "a strap holds"), (3, 1, "fine strap"), (1, 2, "cable"), (2, 2, "")]
)
TEST = Split([(3, 2, "a cable of mine"), (2, 1, "no strap"), (1, 2, ""), (1, 1, "good")])


def test_one_row_a_test_review_with_its_floors() -> None:
    model = Parrot()
    frame = sentence_frame(model, (TRAIN, None, TEST), seed=4)
    assert model.shown == [(1, 1), (2, 1), (3, 2)], "ids alone, without the row that has no review"
    assert frame["user"].tolist() == ["u1", "u2", "u3"]
    assert frame["reference"].tolist() == ["good", "no strap", "a cable of mine"]
    assert frame["written"].tolist() == ["a strap", "a strap", "a cable here"]
    assert frame["written features"].tolist() == ["strap", "strap", "cable"]
    assert frame["reference features"].tolist() == ["", "strap", "cable"]
    assert frame[COMMONEST].tolist() == ["fine strap", "fine strap", "cable"]
    assert set(frame[RANDOM_SENTENCE]) <= {"fine strap", "a strap holds", "cable"}
    assert frame["n_features"].tolist() == [4, 4, 4]
    turned = Split([(1, 1, "good"), (3, 2, "a cable of mine"), (2, 1, "no strap")])
    pd.testing.assert_frame_equal(frame, sentence_frame(Parrot(), (TRAIN, None, turned), 4))


def test_the_summary_is_of_the_columns() -> None:
    frame = sentence_frame(Parrot(), (TRAIN, None, TEST), seed=4)
    found = sentence_summary(frame)
    written, wanted = ([text.split() for text in frame[name]] for name in ("written", "reference"))
    assert found["bleu-1"] == bleu(written, wanted, 1) > 0
    pairs = list(zip(written, wanted, strict=True))
    assert found["rouge-1"] == pytest.approx(np.mean([rouge_n(*pair, 1) for pair in pairs]))
    assert found["rouge-2"] == pytest.approx(np.mean([rouge_n(*pair, 2) for pair in pairs]))
    assert found["rouge-l"] == pytest.approx(np.mean([rouge_l(*pair) for pair in pairs]))
    assert (found["usr"], found["fmr"], found["fcr"]) == (pytest.approx(2 / 3), 1.0, 2 / 4)
    assert found["div"] == pytest.approx(1 / 3)
    assert sentence_summary(frame, COMMONEST)["bleu-1"] != found["bleu-1"]
    empty = sentence_summary(frame.iloc[:0])
    assert all(np.isnan(value) for value in empty.values())


def test_the_commonest_sentence_and_a_drawn_one() -> None:
    known = {1: [("a", "b"), ("b", "c"), ("c",)], 2: [("x",), ("x",), ("b", "c")]}
    found = commonest(known, np.array([1, 2, 3]))
    assert found == [("b", "c"), ("x",), ("b", "c")], (
        "of equal ones the most typical; of all items for a new one"
    )
    draws = drawn(known, 3000, 1)
    assert draws == drawn(known, 3000, 1) != drawn(known, 3000, 2)
    assert draws.count(("x",)) / 3000 == pytest.approx(2 / 6, abs=0.03)


def test_tables_are_kept(tmp_path: Path) -> None:
    frame = sentence_frame(Parrot(), (TRAIN, None, TEST), seed=4)
    Judgement(None, None, frame).write(tmp_path)
    again = Judgement.read(tmp_path)
    assert again.summary() == {f"text.{name}": value for name, value in sentence_summary(frame).items()}


@pytest.mark.filterwarnings("ignore")
def test_the_report_has_a_table_of_sentences(tmp_path: Path) -> None:
    write_reviews(tmp_path, rows_of(16, 8, 6))
    small = {"word_size": 8, "layers": 1, "sentence_length": 4, "embedding_size": 4}
    plan = {
        "dataset": NAME,
        "data_path": str(tmp_path),
        "models": [{"name": "PESI", "options": small}, {"name": "EMF", "options": {"embedding_size": 4}}],
        "seeds": [3],
        "options": {"epochs": 1, "use_gpu": False},
        "protocols": {"negatives": 2},
        "runs": str(tmp_path / "runs"),
    }
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(plan), encoding="utf-8")
    assert main([str(file), "--quiet"]) == 0
    text = (tmp_path / "runs" / "reviews.md").read_text(encoding="utf-8")
    figures = json.loads((tmp_path / "runs" / "reviews.json").read_text(encoding="utf-8"))
    lines = text.partition("## Generated sentences")[2].partition("\n## ")[0].splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    head, rows = cells[0], {row[0]: row[1:] for row in cells[2:]}
    measures = ["BLEU-1", "BLEU-4", "ROUGE-1", "ROUGE-2", "ROUGE-L", "USR", "FMR", "FCR", "DIV"]
    assert head == ["model", "MAE", "RMSE", *measures]
    assert list(rows) == ["PESI", "EMF", f"*{COMMONEST}*", f"*{RANDOM_SENTENCE}*"]
    assert rows["EMF"][2:] == ["–"] * 9
    assert rows[f"*{COMMONEST}*"][:2] == ["–"] * 2
    assert rows["PESI"][0] == f"{figures['models']['PESI']['mae']['mean']:.4f}"
    assert rows["PESI"][7] == f"{figures['models']['PESI']['text.usr']['mean']:.4f}"
    (table,) = (tmp_path / "runs").rglob("sentences.parquet")
    frame = pd.read_parquet(table)
    assert (
        figures["text_floors"][COMMONEST]["text.rouge-1"]["mean"]
        == sentence_summary(frame, COMMONEST)["rouge-1"]
    )

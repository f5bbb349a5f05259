"""What results show in a notebook: their content, escaped, without anything from elsewhere."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from written_runs import USERS, write_comparison

import burnish
from burnish.benchmarks.harness.report import Comparison, summarise
from burnish.enhancers.shapley.valuation import Valuation
from burnish.enhancers.status import EnhancerStatus, Status, TableStatus
from burnish.explanation import Explanation, Explanations, Reason
from burnish.html_tables import shown, table
from burnish.training.result import TrainingResult

BAD = "<script>alert('x')</script> & \"so on\""


class Reader(HTMLParser):
    """Takes HTML apart, and notes what was opened and not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.add(tag)
        self.attributes += attrs
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)


def read(thing: Any) -> Reader:
    html = thing._repr_html_()
    found = Reader(html)
    assert not found.open
    assert found.tags <= {"div", "p", "strong", "em", "table", "thead", "tbody", "tr", "th", "td"}
    assert {name for name, _ in found.attributes} <= {"style"}
    assert "url(" not in html
    assert not any(word in html for word in ("background: #", "color: #", "color: black"))  # dark notebooks
    return found


def result(**changes: Any) -> TrainingResult:
    known: dict[str, Any] = {
        "model_name": "BPR",
        "dataset_name": "ml-100k",
        "seed": 7,
        "enhancers": {"softmax": {}, "average": {}},
        "valid_metric": "mrr@10",
        "best_valid_score": 0.5,
        "best_valid_result": {"ndcg@10": 0.2},
        "rounded_test_result": {"ndcg@10": 0.3},
        "valid_result": {"ndcg@10": 0.23456789},
        "test_result": {"ndcg@10": 0.34567891, "auc": 0.9},
        "per_user": None,
        "n_epochs": 12,
        "best_epoch": 9,
        "losses": [],
        "seconds": {"total": 8.1},
        "peak_memory_mb": None,
        "n_parameters": 168064,
        "flops": None,
        "checkpoint": Path("/somewhere/saved"),
        "config": {},
        "trained": SimpleNamespace(model=None),
    }
    return TrainingResult(**(known | changes))


def test_a_result() -> None:
    found = read(result())
    assert found.rows == [
        ["metric", "validation", "test"],
        ["ndcg@10", "0.2346", "0.3457"],
        ["auc", "-", "0.9000"],
    ]
    text = " ".join(found.texts)
    assert "BPR on ml-100k, seed 7" in text
    assert "attached: softmax, average · epochs: 12, best 9 by mrr@10 · parameters: 168,064" in text
    assert "somewhere" not in text  # no paths and no times: notebooks are shared
    assert "8.1" not in text
    bare = read(result(best_epoch=None, valid_result={}, enhancers={}, dataset_name=BAD))
    assert bare.rows[1] == ["ndcg@10", "0.2000", "0.3457"]
    assert f"BPR on {BAD}, seed 7" in bare.texts
    assert "attached: nothing · epochs: 12 ·" in " ".join(bare.texts)


def test_a_status() -> None:
    status = Status(
        "BPR",
        (TableStatus("user_embedding.weight", "user", 944, 64, False, 60416, False, ("gain",)),),
        (EnhancerStatus("gain", {"text": BAD}, 2626, ("refine", "loss"), False, BAD),),
        weights="resampling",
        step=40,
        not_bakeable="it is not",
    )
    found = read(status)
    assert found.rows == [
        ["enhancer", "options", "parameters", "hooks", "bakeable"],
        ["gain", f"text={BAD!r}", "2,626", "refine, loss", "no"],
        ["table", "side", "rows", "width", "parameters", "refined by"],
        ["user_embedding.weight", "user", "944", "64", "60,416 (frozen)", "gain"],
    ]
    assert found.texts[0] == "BPR: gain attached, step 40"
    assert found.texts[-3:] == [
        f"gain: {BAD}",
        "weights enter the loss by: resampling",
        "cannot be baked: it is not",
    ]
    # As text it says the same.
    for words in (*found.rows[1], *found.rows[3], *found.texts[-3:]):
        assert words in str(status)
    assert read(Status("BPR")).texts == ["BPR: nothing is attached"] == [str(Status("BPR"))]


def valuation(n: int = 8, outputs: tuple[str, ...] = ("profile", "fit"), **changes: Any) -> Valuation:
    values = torch.linspace(-1, 2.5, n)[:, None].repeat(1, len(outputs))
    players = pd.DataFrame({"user": ["a"] * n, "item": [str(k) for k in range(n)], "row": range(n)})
    players["title"] = [BAD if k == 0 else f"film {k}" for k in range(n)]
    known: dict[str, Any] = {"evaluations": 3, "seconds": 1.0, "converged": True, "players": players}
    return Valuation(values, torch.full_like(values, 0.25), outputs=outputs, **(known | changes))


def test_a_valuation() -> None:
    found = read(valuation())
    assert found.texts[0] == "8 interactions valued"
    assert found.rows[:3] == [
        ["value", "mean", "standard deviation", "below 0", "median error"],
        ["profile", "0.7500", "1.1456", "25.0%", "0.2500"],
        ["fit", "0.7500", "1.1456", "25.0%", "0.2500"],
    ]
    assert found.rows[3] == ["user", "item", "title", "value", "standard error"]
    assert found.rows[4] == ["a", "7", "film 7", "2.5000", "0.2500"]
    assert found.rows[-3] == ["a", "0", BAD, "-1.0000", "0.2500"]  # the least valuable first
    assert len(found.rows) == 3 + 2 * 4


def test_valuations_of_other_games() -> None:
    many = read(valuation(outputs=tuple(f"dimension {k}" for k in range(20)), converged=False))
    assert "and 12 more values" in many.texts
    assert "the estimator did not reach the precision that it was asked for" in many.texts
    assert read(valuation(players=None)).texts[0] == "8 players valued"
    summary = read(valuation().summary(output="profile"))
    assert "values of profile" in summary.texts
    assert "by popularity of the item" in summary.texts
    # The sum of outputs has no error of its own: no column of dashes.
    assert "standard error" not in " ".join(read(valuation().summary()).texts)


def test_explanations() -> None:
    reasons = (
        Reason("interaction", f"{BAD} in the history", 0.5, {"item": "4"}),
        Reason("attribute", "humor", -0.125),
    )
    one = Explanation("196", "242", 3.25, reasons, title=BAD, note="the user knows the item already")
    found = read(one)
    assert found.texts[0] == f"{BAD} (242) for user 196: score 3.25"
    assert found.rows[1:] == [
        [f"{BAD} in the history", "interaction", "0.5000"],
        ["humor", "attribute", "-0.1250"],
    ]
    assert found.texts[-1] == "the user knows the item already"
    several = Explanations([one, Explanation("196", "7", 1.0, note="nothing to say")])
    assert isinstance(several, list)
    assert several[0] is one
    text = " ".join(read(several).texts)
    assert "7 for user 196: score 1" in text
    assert "nothing to say" in text


def test_a_report(tmp_path: Path) -> None:
    plain = [np.random.default_rng(seed).uniform(0.2, 0.6, USERS) for seed in range(3)]
    write_comparison(tmp_path, {"plain": plain, "good": [values + 0.05 for values in plain], "same": plain})
    rows = summarise(tmp_path)
    found = read(rows)
    text = " ".join(found.texts)
    for row in rows:
        assert any(row.metric in cells and row.verdict in cells for cells in found.rows)
        assert f"{row.mean:.4f}" in text
    assert "Interval and p: paired t" in text
    row = rows[0]
    named = Comparison([cast(Any, type(row))(**(vars(row) | {"arm": BAD}))])
    assert BAD in read(named).rows[1]
    assert read(Comparison()).texts == ["comparison", "no rows"]


def test_numbers() -> None:
    cells = [shown(cell) for cell in (0.0, 0.12345, 1234567.0, 1e-6, 12345, True, None, "a", float("nan"))]
    assert cells == ["0.0000", "0.1235", "1.235e+06", "1e-06", "12,345", "True", "None", "a", "-"]
    assert "<b>" not in table(["<b>"], [["<b>"]], title="<b>")


def test_explain_gives_what_a_notebook_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = {"epochs": 1, "checkpoint_dir": str(tmp_path)}
    run = burnish.run("BPR", "ml-100k", enhancers="guided", config=config, show_progress=False)
    explained = burnish.explain(run, "196", top=2, reasons=2)
    assert read(explained).rows.count(["reason", "kind", "contribution"]) == len(explained) == 2
    assert read(run).rows[0] == ["metric", "validation", "test"]
    assert read(burnish.status(run.model)).rows[1][0] == "guided"


NOISE = """
import sys, warnings
import burnish
burnish.run("LightGCN", "ml-100k", config={"epochs": 1, "checkpoint_dir": sys.argv[1]}, show_progress=False)
warnings.warn("of one's own", FutureWarning)
"""


def test_libraries_say_nothing_that_is_harmless(tmp_path: Path) -> None:
    """With the filters that a notebook has: RecBole's code is called outdated by torch, pandas and numpy."""
    done = subprocess.run(
        [sys.executable, "-c", NOISE, str(tmp_path)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "of one's own" in done.stderr
    assert "recbole" not in done.stderr
    assert "GradScaler" not in done.stderr

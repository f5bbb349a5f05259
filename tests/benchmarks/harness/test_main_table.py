"""The main table, and the same as LaTeX: floors first, best and second, marks, failures, special characters."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from written_runs import USERS, add_floor, write_comparison

from burnish.benchmarks.harness import summarise, to_latex
from burnish.benchmarks.harness.latex import escaped
from burnish.benchmarks.harness.main_table import MainTable, main_table
from burnish.errors import DataError


def fail(note: Path, arm: str, error: str) -> None:
    """An arm all of whose tuning trials failed."""
    content = json.loads(note.read_text())
    content["arms"][arm] = {}
    note.write_text(json.dumps(content))
    trials = note.parent / arm / "tune"
    trials.mkdir(parents=True)
    (trials / "failed-0a.json").write_text(json.dumps({"error": error}))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two data sets; an arm that is clearly better, one that is worse, one that failed, and a floor between."""
    draw = np.random.default_rng(1)
    for dataset, size in (("first", 0.0), ("second_50%", 0.1)):
        plain = [draw.uniform(0.2, 0.6, USERS) + size for _ in range(4)]
        near = {name: [p + gain + draw.normal(0, 0.01, USERS) for p in plain] for name, gain in GAINS.items()}
        arms = {"plain": plain, "good_one": near["good_one"], "bad": near["bad"]}
        note = write_comparison(tmp_path, arms, dataset=dataset)
        add_floor(note, "EASE", near["EASE"])
        fail(note, "failing", "RuntimeError: 3 rows & 2 columns")
    return tmp_path


GAINS = {"good_one": 0.1, "bad": -0.1, "EASE": 0.03}


def cells(found: MainTable, name: str) -> list[tuple[float, int, tuple[str, ...]]]:
    return [
        (cell.mean, cell.place, cell.marks)
        for group in found.groups
        for line in group.lines
        if line.name == name
        for cell in line.cells
    ]


def test_floors_first_best_second_and_marks(runs: Path) -> None:
    rows = summarise(runs, metrics=["ndcg@10", "logloss"])
    found = main_table(rows)
    assert found.columns == tuple((d, m) for d in ("first", "second_50%") for m in ("ndcg@10", "logloss"))
    assert [(group.name, [(line.name, line.kind) for line in group.lines]) for group in found.groups] == [
        ("Floors", [("EASE", "floor")]),
        ("BPR", [("plain", "baseline"), ("good_one", "arm"), ("bad", "arm"), ("failing", "arm")]),
    ]
    assert [place for _, place, _ in cells(found, "good_one")] == [1, 1, 1, 1]
    assert [place for _, place, _ in cells(found, "EASE")] == [2, 2, 2, 2]
    assert cells(found, "good_one")[0][2] == ("better", "over")
    assert cells(found, "bad")[0][2] == ("worse",)
    assert cells(found, "EASE")[0][2] == ()
    tests = [
        json.loads((runs / "first" / "BPR" / "bad" / f"{seed}-0a" / "metrics.json").read_text())[
            "test_result"
        ]
        for seed in range(4)
    ]
    bad = next(line for line in found.groups[1].lines if line.name == "bad").cells[0]
    values = [test["ndcg@10"] for test in tests]
    assert (bad.mean, bad.sd) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    failing = found.groups[1].lines[-1].cells[0]
    assert failing.empty
    assert failing.failure == "RuntimeError: 3 rows & 2 columns"
    assert any("failing failed: RuntimeError: 3 rows & 2 columns" in said for said in rows.absences)


def test_the_same_backbone_with_other_settings_stands_apart(runs: Path) -> None:
    draw = np.random.default_rng(2)
    more = {name: [draw.uniform(0.2, 0.6, USERS) for _ in range(2)] for name in ("plain", "good_one")}
    write_comparison(runs, more, name="0b", dataset="first")
    names = [group.name for group in main_table(summarise(runs)).groups]
    assert names == ["Floors", "BPR #0a", "BPR #0b", "BPR"]


def test_rows_without_their_runs_are_refused(runs: Path) -> None:
    with pytest.raises(DataError, match="as `summarise` gives it"):
        to_latex(list(summarise(runs)))


def test_special_characters() -> None:
    assert escaped('a_b & 50% #1 {x} $ ~^\\ <>|"\n') == (
        r"a\_b \& 50\% \#1 \{x\} \$ \textasciitilde{}\textasciicircum{}\textbackslash{} "
        r"\textless{}\textgreater{}\textbar{}\textquotedbl{}"
    )


def test_control_characters_are_left_out() -> None:
    """pdfLaTeX refuses them; a mark that turns the line around would turn what follows."""
    assert escaped("a\x07\x1b[31mb\u202ec\u00ad") == "a[31mbc"


def test_letters_that_pdflatex_lacks_are_told(tmp_path: Path) -> None:
    arms = {"plain": [np.linspace(0.2, 0.6, USERS)] * 2, "good": [np.linspace(0.3, 0.7, USERS)] * 2}
    write_comparison(tmp_path / "a", arms, dataset="caf\u00e9")
    assert to_latex(summarise(tmp_path / "a")).startswith("% In the preamble")
    write_comparison(tmp_path / "b", arms, dataset="\u672c")
    first, second, *_ = to_latex(summarise(tmp_path / "b")).splitlines()
    assert "compile with XeLaTeX or LuaLaTeX" in first
    assert second.startswith("% In the preamble")


def test_latex(runs: Path, tmp_path: Path) -> None:
    text = to_latex(summarise(runs, metrics=["ndcg@10", "logloss"]))
    assert (text.count(r"\toprule"), text.count(r"\bottomrule"), text.count(r"\midrule")) == (1, 1, 2)
    assert r"\multicolumn{2}{c}{second\_50\%}" in text
    assert text.index(r"\emph{Floors}") < text.index("EASE") < text.index(r"\emph{BPR}")
    lines = [line for line in text.splitlines() if line.lstrip().startswith(r"\quad")]
    assert [line.count(" & ") for line in lines] == [4] * 5
    assert all(line.endswith(r"\\") for line in lines)
    good = next(line for line in lines if r"good\_one" in line)
    assert re.search(
        r"& \\textbf\{0\.\d{4}\}\\,\{\\scriptsize\$\\pm\$0\.\d{4}\}\$\^\{\\dagger\\ddagger\}\$ &", good
    )
    assert r"\underline{" in next(line for line in lines if "EASE" in line)
    assert next(line for line in lines if "failing" in line).count(r"\emph{failed}") == 4
    assert text.count("{") == text.count("}") + text.count(r"\{") - text.count(r"\}")
    assert "Smaller is better: LogLoss." in text
    for said in (
        r"$^{\dagger}$ better than plain",
        r"$^{\downarrow}$ worse than plain",
        r"$^{\ddagger}$ better than",
    ):
        assert said in text.partition(r"\end{tabular}")[2]
    compiler = shutil.which("pdflatex")
    if compiler is not None:
        document = (
            "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs}\\begin{document}\n"
            f"{text}\\end{{document}}\n"
        )
        (tmp_path / "table.tex").write_text(document)
        command = [compiler, "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]

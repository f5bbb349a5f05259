"""The matrix: columns with options, outcomes that are kept as they come, and the page that says what was attached."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict

import pytest
import torch

from burnish.enhancers.conformance import Outcome, check_backbone
from burnish.enhancers.conformance.matrix import __main__ as matrix
from burnish.enhancers.conformance.matrix import journal
from burnish.enhancers.conformance.matrix.columns import COLUMNS, about, headings, read_column
from burnish.enhancers.conformance.matrix.page import KEPT, page, write_page
from burnish.enhancers.conformance.subject import written
from burnish.enhancers.shapley.shapley import Shapley
from burnish.errors import ConfigurationError, DataError, UnknownNameError

WITH_OPTIONS = "shapley: {warmup_epochs: 0}"


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    torch.set_num_threads(1)
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def two_checks(monkeypatch):
    """Only two quick checks are declared."""
    from burnish.enhancers.conformance import check

    kept = {name: check._definitions[name] for name in ("attaches", "trains and evaluates")}
    monkeypatch.setattr(check, "_definitions", kept)


# ------------------------------------------------------------------ columns


@pytest.mark.parametrize(
    ("text", "names", "again"),
    [
        ("rvrec", ["rvrec"], "rvrec"),
        ("rvrec,shapley", ["rvrec", "shapley"], "rvrec,shapley"),
        ("shapley:{warmup_epochs: 0}", ["shapley"], WITH_OPTIONS),
        (WITH_OPTIONS, ["shapley"], WITH_OPTIONS),
        ("shapley: {warmup_epochs: 3}", ["shapley"], "shapley"),
        ("rvrec: {weight: 1e-3},shapley:", ["rvrec", "shapley"], "rvrec: {weight: 0.001},shapley"),
    ],
)
def test_a_column_is_read_and_written(text, names, again):
    column = read_column(text)
    assert [enhancer.name for enhancer in column] == names
    assert written(column) == again
    assert [e.config for e in read_column(again)] == [e.config for e in column]


def test_options_arrive():
    (shapley,) = read_column("shapley:{warmup_epochs: 0, beta: 0.25}")
    assert isinstance(shapley, Shapley)
    assert (shapley.config.warmup_epochs, shapley.config.beta) == (0, 0.25)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("shaply", UnknownNameError, "shapley"),
        ("shapley: {warmup: 0}", UnknownNameError, "warmup_epochs"),
        ("shapley: {warmup_epochs: -1}", ConfigurationError, "warmup_epochs"),
        ("shapley: {warmup_epochs: 0", ConfigurationError, "separated by commas"),
        ("shapley: 3", ConfigurationError, "not a set of options"),
        ("rvrec,rvrec: {weight: 2}", ConfigurationError, "'rvrec' stands there twice"),
        ("", ConfigurationError, "no enhancer is named"),
    ],
)
def test_bad_columns(text, error, message):
    with pytest.raises(error, match=message):
        read_column(text)


def test_the_same_column_twice_is_an_error():
    with pytest.raises(ConfigurationError, match="given twice"):
        matrix.read_columns(["shapley:{warmup_epochs: 0}", WITH_OPTIONS])
    assert len(matrix.read_columns(["shapley", WITH_OPTIONS])) == 2


def test_shapley_acts_within_the_one_epoch_of_its_column():
    columns = {
        text: written(column) for text, column in zip(COLUMNS, matrix.read_columns(COLUMNS), strict=True)
    }
    assert columns == {text: text for text in COLUMNS}, (
        "the default columns are written as outcomes name them"
    )
    (check,) = check_backbone("BPR", enhancers=read_column(WITH_OPTIONS), only=["attaches"])
    weights = check.subject.trained().model.enhancers["shapley"].interaction_weights()
    assert weights is not None
    assert float(weights.std()) > 0.1


def test_headings_tell_columns_apart():
    assert headings(["rvrec", WITH_OPTIONS]) == {"rvrec": "rvrec", WITH_OPTIONS: "shapley"}
    both = headings(["shapley", WITH_OPTIONS, "rvrec,shapley"])
    assert both == {"shapley": "shapley", WITH_OPTIONS: WITH_OPTIONS, "rvrec,shapley": "rvrec,shapley"}


def test_the_page_says_with_which_options():
    text = "rvrec: {weight: 0.2, site: output},shapley"
    assert about(text) == "`rvrec` with `weight: 0.2`, `site: output` and `shapley` with its default options."
    outcomes = [
        Outcome("BPR", WITH_OPTIONS, "attaches", "passed", "", 0.1),
        Outcome("LR", WITH_OPTIONS, "attaches", "refused", "why", 0.1),
        Outcome("BPR", "rvrec", "attaches", "passed", "", 0.1),
    ]
    lines = page(outcomes)
    assert any(line.startswith("- `shapley` with `warmup_epochs: 0`") for line in lines)
    assert "- `rvrec` with its default options." in lines
    assert any("--enhancers 'shapley: {warmup_epochs: 0}'" in line for line in lines)
    assert "| check | promise | shapley | rvrec |" in lines
    assert "| refused | every check | LR | shapley | why |" in lines
    assert "| BPR | general | 1 passed | 1 passed |" in lines


# ------------------------------------------------------------------ runs


def run(*arguments: object) -> int:
    return matrix.main([str(argument) for argument in arguments])


def test_a_run_that_was_stopped_goes_on(two_checks, tmp_path, monkeypatch):
    kept, report = tmp_path / "outcomes.jsonl", tmp_path / "page.md"
    ask = ["--backbones", "BPR", "FM", "--enhancers", "probe", "shapley:{warmup_epochs: 0}"]
    ask += ["--outcomes", kept, "--output", report]
    assert run(*ask) == 0
    whole, first_page = journal.read_outcomes(kept), report.read_text()
    assert len(whole) == 8
    assert {outcome.enhancers for outcome in whole} == {"probe", WITH_OPTIONS}
    assert "with `warmup_epochs: 0`" in first_page

    lines = kept.read_text().splitlines(keepends=True)
    kept.write_text("".join([*lines[5:], lines[0], lines[1][:20]]))  # in another order, the last one cut off
    ran = []
    original = matrix.run_matrix
    monkeypatch.setattr(
        matrix,
        "run_matrix",
        lambda *args, **gpu: (ran.append(outcome) or outcome for outcome in original(*args, **gpu)),
    )
    assert run(*ask, "--resume") == 0
    assert [(o.backbone, o.enhancers, o.check) for o in ran] == [
        (o.backbone, o.enhancers, o.check) for o in whole[1:5]
    ]
    assert report.read_text() == first_page
    assert len(journal.read_outcomes(kept)) == 8
    ran.clear()
    assert run(*ask[:5], "--outcomes", kept, "--output", report, "--resume") == 0  # one column of the two
    assert not ran
    assert "| promise | probe | shapley |" in first_page
    assert "| promise | probe |\n" in report.read_text()
    assert len(journal.read_outcomes(kept)) == 8


def test_a_broken_promise_sets_the_status(two_checks, tmp_path):
    kept = tmp_path / "outcomes.jsonl"
    broken = Outcome("BPR", "rvrec", "attaches", "failed", "made up", 0.1)
    kept.write_text(json.dumps(asdict(broken)) + "\n")
    assert run("--backbones", "BPR", "--enhancers", "rvrec", "--outcomes", kept, "--resume") == 1
    assert run("--backbones", "BPR", "--enhancers", "rvrec", "--outcomes", kept) == 0  # begins anew


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--enhancers", "rvrek"], "Did you mean 'rvrec'"),
        (["--backbones", "BPRR"], "Did you mean 'BPR'"),
        (["--resume"], "--resume needs --outcomes"),
    ],
)
def test_bad_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(*arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("line", ["nonsense\n", '{"backbone": "BPR"}\n', "[1]\n"])
def test_a_file_of_something_else_is_not_overwritten(line, tmp_path, capsys):
    kept = tmp_path / "other.jsonl"
    kept.write_text(line)
    with pytest.raises(DataError, match="line 1 is not an outcome"):
        journal.read_outcomes(kept)
    with pytest.raises(SystemExit):
        run("--backbones", "BPR", "--outcomes", kept, "--resume")
    assert "leave out --resume" in capsys.readouterr().err
    assert kept.read_text() == line


def test_what_was_written_by_hand_stays(tmp_path):
    report = tmp_path / "page.md"
    outcome = Outcome("BPR", "probe", "attaches", "passed", "", 0.1)
    write_page(report, [outcome])
    first = report.read_text()
    report.write_text(first + f"\n{KEPT}\n\n## By hand\n")
    write_page(report, [outcome, Outcome("LR", "probe", "attaches", "refused", "why", 0.1)])
    again = report.read_text()
    assert "LR" in again.split(KEPT)[0]
    assert again.split(KEPT)[1] == "\n\n## By hand\n"

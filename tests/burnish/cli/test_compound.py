"""Arguments that can be given in more than one way, in every verb that has them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from burnish.cli.compound import Ids
from burnish.cli.main import app
from burnish.cli.parse_options import stray_words
from burnish.cli.shared import Run, add_verb, run_given


def told(*words: str, verb: Any) -> tuple[int, str]:
    one = typer.Typer(add_completion=False)
    add_verb(one, verb, threads=True)
    done = CliRunner().invoke(one, list(words))
    return done.exit_code, " ".join(done.output.split())


def of_run(context: typer.Context, run: Run, top: int = 3) -> None:
    """Of a run."""
    print("run", run, top)


def of_any(
    context: typer.Context, run: Annotated[Path | None, run_given("A run.")] = None, top: int = 3
) -> None:
    """Of a run, or of none."""
    print("run", run, top)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["out"], 0, "run out 3"),
        (["--run", "out"], 0, "run out 3"),
        (["-r", "out", "--top", "4"], 0, "run out 4"),
        (["out", "--run", "./out"], 0, "run out 3"),
        (["out", "--run", "other"], 2, "are two; give one of them"),
        ([], 2, "RUN / --run"),
    ],
)
def test_a_run_by_its_place_or_by_name(words: list[str], code: int, says: str) -> None:
    assert told(*words, verb=of_run)[0] == code
    assert says in told(*words, verb=of_run)[1]


def test_a_run_that_may_be_left_out() -> None:
    assert told(verb=of_any) == (0, "run None 3")


def test_the_help_has_both() -> None:
    code, text = told("--help", verb=of_run)
    assert code == 0
    for word in ("RUN", "--run", "--threads"):
        assert word in text


def of_users(
    context: typer.Context, users: Annotated[list[str] | None, Ids("user", "-u", "Ids.")] = None
) -> None:
    """Of users."""
    print(users)


def of_some_users(context: typer.Context, users: Annotated[list[str], Ids("user", "-u", "Ids.")]) -> None:
    """Of users that are named."""
    print(users)


def of_one_user(
    context: typer.Context,
    user: Annotated[str | None, Ids("user", "-u", "Id.", "one history at a time")] = None,
) -> None:
    """Of one user."""
    print(user)


@pytest.mark.parametrize(
    ("words", "users"),
    [
        ([], None),
        (["--users", "a,b"], ["a", "b"]),
        (["--users", "a", "--users", "b,a"], ["a", "b"]),
        (["-u", "a", "-u", "b"], ["a", "b"]),
        (["--user", "a,b", "--user", "c"], ["a,b", "c"]),
        (["--users", "c", "--user", "Doe, Jo"], ["c", "Doe, Jo"]),
        (["--users", "a, b"], ["a", " b"]),
    ],
)
def test_ids_in_several_ways(words: list[str], users: list[str] | None) -> None:
    assert told(*words, verb=of_users) == (0, " ".join(str(users).split()))


def test_no_id_is_refused() -> None:
    for verb, words in ((of_users, ["--users", " ,"]), (of_some_users, [])):
        code, text = told(*words, verb=verb)
        assert code == 2
        assert "no user is named" in text


def test_one_user_only() -> None:
    assert told("--user", "a,b", verb=of_one_user) == (0, "a,b")
    assert told("--users", "a", "-u", "a", verb=of_one_user) == (0, "a")
    code, text = told("--user", "a", "--user", "b", verb=of_one_user)
    assert code == 2
    assert "one history at a time" in text


def test_threads_are_set_while_the_verb_works() -> None:
    import torch

    def threads(context: typer.Context) -> None:
        """How many."""
        print("threads", torch.get_num_threads())

    before = torch.get_num_threads()
    assert told("--threads", "2", verb=threads) == (0, "threads 2")
    assert told("--threads", "0", verb=threads)[0] == 2
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("words", "stray", "rest"),
    [
        (["out", "--epochs", "5"], ["out"], ["--epochs", "5"]),
        (["--epochs", "5", "out"], ["out"], ["--epochs", "5"]),
        (["--epochs=5", "out"], ["out"], ["--epochs=5"]),
        (["--switch", "--epochs", "5"], [], ["--switch", "--epochs", "5"]),
    ],
)
def test_words_that_belong_to_no_option(words: list[str], stray: list[str], rest: list[str]) -> None:
    assert stray_words(words) == (stray, rest)


VERBS = ("run", "recommend", "explain", "export", "profiles", "value", "bake", "aggregate", "bench")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_that_computes_has_threads(verb: str) -> None:
    assert "--threads" in CliRunner().invoke(app, [verb, "--help"]).output


@pytest.mark.parametrize("verb", ["recommend", "explain", "export", "profiles", "bake", "aggregate", "value"])
def test_every_verb_that_reads_a_run_takes_it_both_ways(verb: str, tmp_path: Path) -> None:
    """Both ways lead to the same refusal of a folder that is no run's; the nearest one that is gets named."""
    words = {"export": ["-o", str(tmp_path / "a.npz")], "bake": ["-o", str(tmp_path / "a.pth")]}
    words |= {"aggregate": ["-o", str(tmp_path / "new")], "explain": ["--users", "1"]}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text("{}")
    refusals = {
        CliRunner().invoke(app, [verb, *given, *words.get(verb, [])]).stderr
        for given in ([str(tmp_path / "oot")], ["--run", str(tmp_path / "oot")])
    }
    assert len(refusals) == 1
    assert f"Did you mean {str(tmp_path / 'out')!r}?" in refusals.pop()

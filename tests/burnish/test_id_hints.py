"""Ids that were meant, and how messages name options."""

from __future__ import annotations

import pytest

from burnish.errors import meant_ids, nearest, nearest_ids, option, plain_id, read_in_a_shell, unknown_id

KNOWN = ["0001", "0002", "0102", "Anna", "  005 ", "Ä-39·x", "000"]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("1", ["0001"]),
        ("01", ["0001"]),
        ("002", ["0002"]),
        ("2.0", ["0002"]),
        ("102", ["0102"]),
        ("anna", ["Anna"]),
        ("Anna ", ["Anna"]),
        ("5", ["  005 "]),
        ("0", ["000"]),
        ("ä-39·X", ["Ä-39·x"]),
        ("Anne", ["Anna"]),
        ("zzzzzzz", []),
    ],
)
def test_what_was_meant(asked: str, meant: list[str]) -> None:
    assert nearest_ids(asked, KNOWN) == meant


def test_several_may_have_been_meant() -> None:
    assert meant_ids("1", ["01", "001", "1.0", "x"]) == " Did you mean '01' or '001' or '1.0'?"
    assert "user '1' is not known. Did you mean '0001'?" in str(unknown_id("user", "1", KNOWN))


OPTIONS = ["temperature", "learning_rate", "weight_decay", "learner", "reg_weight", "topk", "top"]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("temp", "temperature"),
        ("Tempe", "temperature"),
        ("lr", "learning_rate"),
        ("wd", "weight_decay"),
        ("reg", "reg_weight"),
        ("learnig_rate", "learning_rate"),  # misspelt, not short for anything
        ("lerner", "learner"),
        ("te", None),
        ("x", None),
        ("rate", None),
        ("lea", "learner"),  # of two the likelier
    ],
)
def test_names_that_are_written_shorter(asked: str, meant: str | None) -> None:
    assert nearest(asked, OPTIONS) == meant


def test_plain_ids() -> None:
    assert plain_id("00a") != plain_id("a")
    assert plain_id("100") == "100"
    assert plain_id("10.50") != plain_id("10.5")


def test_options_as_their_reader_gives_them() -> None:
    assert [option("min_user"), option("min_user", 5), option("force", True)] == [
        "min_user=",
        "min_user=5",
        "force=True",
    ]
    with read_in_a_shell():
        assert [option("min_user"), option("min_user", 1), option("force", True)] == [
            "--min-user",
            "--min-user 1",
            "--force",
        ]
    assert option("force", True) == "force=True"

"""Claims: who is asking what, and that nobody who is gone holds anything up."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from burnish.enhancers.guided import claims
from burnish.enhancers.guided.claims import LEASE_S, Holder, process_is_there
from burnish.enhancers.guided.ledger import Ledger, text_hash
from burnish.errors import DataError

NOW = 1_700_000_000.0


@pytest.fixture
def rows() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(claims.TABLE)
    return connection


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_question_is_claimed_by_one(rows) -> None:
    first, second = Holder(), Holder()
    assert claims.take(rows, ["a", "b"], first, NOW) == (["a", "b"], [])
    assert claims.take(rows, ["b", "c"], second, NOW + 1) == (["c"], ["b"])
    assert claims.take(rows, ["a", "b"], first, NOW + 2) == (["a", "b"], [])
    claims.release(rows, first, ["b"])
    assert claims.take(rows, ["a", "b"], second, NOW + 3) == (["b"], ["a"])
    claims.release(rows, first, None)
    assert claims.take(rows, ["a"], second, NOW + 3) == (["a"], [])


def test_nobody_gives_back_what_is_not_theirs(rows) -> None:
    first, second = Holder(), Holder()
    claims.take(rows, ["a"], first, NOW)
    claims.release(rows, second, ["a"])
    claims.release(rows, second, None)
    assert claims.take(rows, ["a"], second, NOW) == ([], ["a"])


def test_a_claim_ends_unless_it_is_renewed(rows) -> None:
    # of another machine: nobody can look whether that process lives
    first, second = Holder("elsewhere", 1), Holder()
    claims.take(rows, ["a"], first, NOW)
    assert claims.take(rows, ["a"], second, NOW + LEASE_S - 1) == ([], ["a"])
    claims.renew(rows, first, NOW + LEASE_S - 1)
    assert claims.take(rows, ["a"], second, NOW + LEASE_S + 1) == ([], ["a"])
    assert claims.take(rows, ["a"], second, NOW + 2 * LEASE_S) == (["a"], [])
    # and it was lost to the first, who renews only what is theirs
    claims.renew(rows, first, NOW + 2 * LEASE_S)
    assert claims.take(rows, ["a"], first, NOW + 2 * LEASE_S) == ([], ["a"])


def test_a_clock_that_is_put_back_does_not_make_a_claim_for_ever(rows) -> None:
    claims.take(rows, ["a"], Holder("elsewhere", 1), NOW + 1_000_000)
    assert claims.take(rows, ["a"], Holder(), NOW) == (["a"], [])


def test_a_claim_of_a_process_that_is_no_more_is_nobody_s(rows) -> None:
    claims.take(rows, ["a"], Holder(process=dead_process()), NOW)
    assert claims.take(rows, ["a"], Holder(), NOW) == (["a"], [])
    claims.take(rows, ["b"], Holder("elsewhere", dead_process()), NOW)
    assert claims.take(rows, ["b"], Holder(), NOW) == ([], ["b"])


@pytest.mark.parametrize("holder", ["", "x", "a/b", "a/b/c", "////", f"{claims.this_place()}/\u0663/x"])
def test_a_holder_in_no_form_of_ours_is_waited_for_until_the_end(rows, holder: str) -> None:
    rows.execute("INSERT INTO claims VALUES ('a', ?, ?)", (holder, NOW + 10))
    assert claims.take(rows, ["a"], Holder(), NOW) == ((["a"], []) if holder == "" else ([], ["a"]))
    assert claims.take(rows, ["a"], Holder(), NOW + 11 + LEASE_S) == (["a"], [])


def test_more_keys_than_a_query_takes(rows) -> None:
    many = [f"k{n}" for n in range(2345)]
    claims.take(rows, many[::2], Holder("elsewhere", 1), NOW)
    assert claims.take(rows, many, Holder(), NOW) == (many[1::2], many[::2])


def test_what_is_over_is_forgotten(rows) -> None:
    claims.take(rows, ["a"], Holder("elsewhere", 1), NOW)
    claims.take(rows, ["b"], Holder("elsewhere", 2), NOW + LEASE_S)
    claims.renew(rows, Holder(), NOW + LEASE_S + 1)
    assert [row[0] for row in rows.execute("SELECT key FROM claims")] == ["b"]


def test_processes_are_told_from_their_remains() -> None:
    assert process_is_there(os.getpid())
    assert not process_is_there(dead_process())
    process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read()  # it has ended, or is about to
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not process_is_there(process.pid)  # nobody has fetched what it left
    process.communicate()


# ---------------------------------------------------------------------- in a ledger


def without_claims(path: Path) -> None:
    """A ledger as an earlier burnish made it, with one answer."""
    with Ledger(path) as ledger:
        request = ledger.add_request(model="m", endpoint="e", prompt="p", schema="s", items=1, body="{}")
        ledger.add_answer(request, status="ok", text="", scores={"k": (text_hash("t"), {"humor": 3})})
    other = sqlite3.connect(path)
    other.execute("DROP TABLE claims")
    other.commit()
    other.close()


def test_a_ledger_of_before_is_read_and_continued(tmp_path) -> None:
    path = tmp_path / "l"
    without_claims(path)
    with Ledger(path, read_only=True) as ledger:
        assert ledger.known(["k"]) == {"k": {"humor": 3}}
    with Ledger(path) as ledger:
        found = ledger.claim(["k", "new"], Holder())
        assert (found.known, found.mine, found.theirs) == ({"k": {"humor": 3}}, ["new"], [])


def test_an_earlier_burnish_reads_a_ledger_with_claims(tmp_path) -> None:
    """It knows the version, and the tables by name."""
    with Ledger(tmp_path / "l") as ledger:
        ledger.claim(["k"], Holder())
    other = sqlite3.connect(tmp_path / "l")
    assert other.execute("PRAGMA user_version").fetchone() == (1,)
    names = {row[0] for row in other.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    other.close()
    assert names == {"requests", "answers", "scores", "claims"}


def test_another_table_of_that_name_is_told(tmp_path) -> None:
    without_claims(tmp_path / "l")
    other = sqlite3.connect(tmp_path / "l")
    other.execute("CREATE TABLE claims (a)")
    other.close()
    with pytest.raises(DataError, match="table 'claims' has columns"):
        Ledger(tmp_path / "l")


def test_an_answer_ends_the_claim_on_its_question_only(tmp_path) -> None:
    first, second = Holder(), Holder()
    with Ledger(tmp_path / "l") as ledger:
        ledger.claim(["a", "b"], first)
        request = ledger.add_request(model="m", endpoint="e", prompt="p", schema="s", items=2, body="{}")
        ledger.add_answer(request, status="ok", text="", scores={"a": ("h", {"x": 1})}, holder=first)
        found = ledger.claim(["a", "b"], second)
        assert (found.known, found.mine, found.theirs) == ({"a": {"x": 1}}, [], ["b"])
        ledger.release(first)
        assert ledger.claim(["b"], second).mine == ["b"]


def test_a_ledger_tells_nothing_of_the_machine(tmp_path) -> None:
    with Ledger(tmp_path / "l") as ledger:
        ledger.claim(["k"], Holder())
    other = sqlite3.connect(tmp_path / "l")
    (holder,) = other.execute("SELECT holder FROM claims").fetchone()
    other.close()
    assert os.uname().nodename not in holder

"""The ledger: what it keeps, what it refuses, and that threads and processes can share it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from burnish.enhancers.guided.ledger import Ledger, item_key, text_hash
from burnish.errors import DataError


def asked(ledger: Ledger, model: str = "m", prompt: str = "p", items: int = 1, body: str = "{}") -> int:
    return ledger.add_request(
        model=model, endpoint="http://x/v1", prompt=prompt, schema="s", items=items, body=body
    )


def test_every_part_of_a_question_is_in_its_key() -> None:
    keys = {
        item_key("m", "p", "s", "t"),
        item_key("M", "p", "s", "t"),
        item_key("m", "P", "s", "t"),
        item_key("m", "p", "S", "t"),
        item_key("m", "p", "s", "T"),
        item_key("mp", "", "s", "t"),
    }
    assert len(keys) == 6
    assert item_key("m", "p", "s", "t") == item_key("m", "p", "s", "t")


def test_what_was_written_is_read_back(tmp_path) -> None:
    path = tmp_path / "folder" / "ledger.sqlite"
    with Ledger(path) as ledger:
        request = asked(ledger, items=2, body='{"naïve": 1}')
        ledger.add_answer(request, status="HTTP 500", text="oops")
        ledger.add_answer(
            request,
            status="ok",
            text="{}",
            input_tokens=7,
            output_tokens=3,
            scores={"k1": (text_hash("a"), {"humor": 3}), "k2": (text_hash("b"), {"humor": 0})},
        )
    with Ledger(path, read_only=True) as ledger:
        assert ledger.known(["k2", "k1", "k3"]) == {"k1": {"humor": 3}, "k2": {"humor": 0}}
        assert [row["status"] for row in ledger.rows("answers")] == ["HTTP 500", "ok"]
        (row,) = ledger.rows("requests")
        assert row["body"] == '{"naïve": 1}'
        assert row["items"] == 2
        usage = ledger.usage("m", ["p"])
        assert (usage.requests, usage.body_bytes, usage.items) == (1, len('{"naïve": 1}'.encode()), 2)
        assert (usage.input_tokens, usage.output_tokens) == (7, 3)
        assert ledger.usage("another", ["p"]).requests == 0
        with pytest.raises(DataError, match="reading only"):
            asked(ledger)


def test_the_first_answer_to_a_question_stays(tmp_path) -> None:
    with Ledger(tmp_path / "l") as ledger:
        request = asked(ledger)
        for score in (4, 5):
            ledger.add_answer(request, status="ok", text="", scores={"k": ("h", {"humor": score})})
        assert ledger.known(["k"]) == {"k": {"humor": 4}}
        assert ledger.count("scores") == 2


def test_more_keys_than_a_query_takes(tmp_path) -> None:
    with Ledger(tmp_path / "l") as ledger:
        request = asked(ledger)
        many = {f"k{n}": ("h", {"humor": n % 10}) for n in range(2345)}
        ledger.add_answer(request, status="ok", text="", scores=many)
        assert ledger.known(list(many)) == {key: scores for key, (_, scores) in many.items()}
        assert [row["key"] for row in ledger.rows("scores")] == list(many)


@pytest.mark.parametrize("table", ["requests", "answers", "scores"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET id = id + 1"])
def test_rows_cannot_be_changed_by_anybody(tmp_path, table: str, statement: str) -> None:
    path = tmp_path / "l"
    with Ledger(path) as ledger:
        ledger.add_answer(asked(ledger), status="ok", text="", scores={"k": ("h", {"humor": 1})})
    other = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        other.execute(statement.format(table))
    other.close()


def test_a_file_that_is_something_else_is_left_alone(tmp_path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("these are my notes, " * 100)
    with pytest.raises(DataError, match=r"notes\.txt.*not an SQLite file"):
        Ledger(text)
    assert text.read_text() == "these are my notes, " * 100

    foreign = tmp_path / "foreign.sqlite"
    other = sqlite3.connect(foreign)
    other.execute("CREATE TABLE scores (a, b)")
    other.commit()
    other.close()
    before = foreign.read_bytes()
    with pytest.raises(DataError, match=r"not a ledger of burnish"):
        Ledger(foreign)
    assert foreign.read_bytes() == before

    with pytest.raises(DataError, match="is a folder"):
        Ledger(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        Ledger(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()


def test_a_damaged_ledger_is_told(tmp_path) -> None:
    path = tmp_path / "l"
    with Ledger(path) as ledger:
        request = asked(ledger, body="x" * 50_000)
        ledger.add_answer(
            request, status="ok", text="", scores={f"k{n}": ("h", {"humor": 1}) for n in range(500)}
        )
    content = bytearray(path.read_bytes())
    content[8192 : len(content) // 2] = b"\xff" * (len(content) // 2 - 8192)
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        Ledger(path)


def test_a_ledger_of_another_version_is_told(tmp_path) -> None:
    path = tmp_path / "l"
    Ledger(path).close()
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(DataError, match="version 99"):
        Ledger(path)


def test_threads_share_one_ledger(tmp_path) -> None:
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for n in range(25):
                scores = {f"{number}/{n}": ("h", {"humor": number})}
                ledger.add_answer(asked(ledger), status="ok", text="", scores=scores)
                ledger.known([f"{number}/{n}"])
        except BaseException as error:
            failures.append(error)

    with Ledger(tmp_path / "l") as ledger:
        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        keys = [f"{number}/{n}" for number in range(8) for n in range(25)]
        assert ledger.known(keys) == {key: {"humor": int(key.split("/")[0])} for key in keys}
        assert ledger.count("requests") == 200


_WRITER = """
import sys
from pathlib import Path
from burnish.enhancers.guided.ledger import Ledger
with Ledger(Path(sys.argv[1])) as ledger:
    for n in range(100):
        request = ledger.add_request(model="m", endpoint="e", prompt="p", schema="s", items=1, body="{}")
        ledger.add_answer(request, status="ok", text="", scores={f"{sys.argv[2]}/{n}": ("h", {"humor": 1})})
"""


def test_processes_share_one_file_from_its_making_on(tmp_path) -> None:
    path: Path = tmp_path / "l"
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(path), name]) for name in "ab"]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    with Ledger(path, read_only=True) as ledger:
        assert ledger.count("scores") == 200
        rows = list(ledger.rows("scores"))
        answers = {row["id"] for row in ledger.rows("answers")}
    assert {row["answer"] for row in rows} == answers  # every score hangs on an answer of its own


def test_a_ledger_that_another_process_is_making_is_waited_for(tmp_path, monkeypatch) -> None:
    """SQLite says "locked" at once where two change the journal's mode; seen once in a full test run."""
    inner, refusals = sqlite3.connect, [True, True]

    class Busy(sqlite3.Connection):
        def execute(self, statement, *arguments):
            if "journal_mode" in statement and refusals:
                refusals.pop()
                raise sqlite3.OperationalError("database is locked")
            return super().execute(statement, *arguments)

    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: inner(*a, **k, factory=Busy))
    Ledger(tmp_path / "l").close()
    assert not refusals

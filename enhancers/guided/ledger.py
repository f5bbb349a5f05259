"""What was asked of a language model and what it answered: an append-only SQLite file.

Every request is written before it is sent, every answer as soon as it is there, also those that cannot be used.  Valid
scores are kept item by item under a hash of model, prompt, schema and the item's text (`item_key`), so that the same
question is never paid for twice, however items are grouped.  Keys of endpoints and headers are never written.
Beside these rows there are `claims`: what is being asked just now, by whom.  They come and go.

The file survives a killed process.  After a power cut the last moments may be missing, and are asked again.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from burnish.checks import short
from burnish.errors import DataError
from burnish.files.jsons import parse_json

from . import claims
from .claims import Holder

_APPLICATION = 0x6275726E  # "burn", in SQLite's header: a file of ours is told from any other
_VERSION = 1
_AT_ONCE = 500  # keys a query; SQLite allows 999 parameters
_WAIT_S = 60.0  # for another process that is writing

_TABLES = """
CREATE TABLE requests (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, model TEXT NOT NULL, endpoint TEXT NOT NULL, prompt TEXT NOT NULL,
    schema TEXT NOT NULL, items INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE TABLE answers (
    id INTEGER PRIMARY KEY, request INTEGER NOT NULL REFERENCES requests (id), at REAL NOT NULL, status TEXT NOT NULL,
    input_tokens INTEGER, output_tokens INTEGER, text TEXT NOT NULL
);
CREATE TABLE scores (
    id INTEGER PRIMARY KEY, answer INTEGER NOT NULL REFERENCES answers (id), key TEXT NOT NULL,
    text_hash TEXT NOT NULL, scores TEXT NOT NULL
);
CREATE INDEX scores_key ON scores (key);
CREATE INDEX requests_model ON requests (model, prompt);
"""
_FIELDS = {
    "requests": ("id", "at", "model", "endpoint", "prompt", "schema", "items", "body"),
    "answers": ("id", "request", "at", "status", "input_tokens", "output_tokens", "text"),
    "scores": ("id", "answer", "key", "text_hash", "scores"),
}


def text_hash(text: str) -> str:
    """A hash of an item's text."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def item_key(model: str, prompt: str, schema: str, text: str) -> str:
    """The name of one question: this item's text, on this schema (its fingerprint), in this prompt, to this model."""
    return hashlib.sha256(json.dumps([model, prompt, schema, text_hash(text)]).encode()).hexdigest()[:40]


@dataclass(frozen=True)
class Claimed:
    """What came of asking for questions: answers that are there already, keys to be asked now, and keys that another
    run is asking."""

    known: dict[str, dict[str, int]]
    mine: list[str]
    theirs: list[str]


@dataclass(frozen=True)
class Usage:
    """What a model's answers have used so far: requests and their bytes, items asked, tokens in and out."""

    requests: int
    body_bytes: int
    items: int
    input_tokens: int
    output_tokens: int


class Ledger:
    """An append-only record of requests, answers and valid scores; threads and processes may share it.

    path: the file, made where there is none (its folder too).  read_only: nothing is written, and the file must be
    there.  Rows cannot be changed or deleted, not even with another SQLite client (triggers refuse it).
    Raises `DataError` where the file is not such a ledger, is damaged or cannot be opened.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = Path(path)
        self.read_only = read_only
        self._lock = threading.RLock()
        self._connection = self._open()
        try:
            with self._errors():
                self._prepare()
        except BaseException:
            self.close()
            raise

    def _open(self) -> sqlite3.Connection:
        if self.path.is_dir():
            raise DataError(f"ledger = {str(self.path)!r} is a folder; give the path of a file in it")
        if self.read_only and not self.path.is_file():
            raise DataError(
                f"ledger = {str(self.path)!r} does not exist; give the path of an existing ledger"
            )
        address = self.path.resolve().as_uri()
        try:
            if not self.read_only:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                return self._connect(address)
            try:
                # for writing all the same: only such a connection takes the log's files away when it closes
                connection = self._connect(address + "?mode=rw")
                connection.execute("PRAGMA query_only = ON")
                return connection
            except sqlite3.OperationalError:
                if self.path.with_name(self.path.name + "-wal").exists():
                    raise
                # a folder that cannot be written has no place for the log's files: nobody else writes there
                return self._connect(address + "?mode=ro&immutable=1")
        except (OSError, sqlite3.Error) as error:
            raise DataError(f"ledger = {str(self.path)!r} cannot be opened: {error}") from error

    def _connect(self, address: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            address, uri=True, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            connection.close()
            raise
        except (sqlite3.DatabaseError, UnicodeDecodeError):  # SQLite's own words quote the damage
            pass  # not an SQLite file: `_prepare` says so
        return connection

    def _prepare(self) -> None:
        run = self._connection.execute
        application = run("PRAGMA application_id").fetchone()[0]
        empty = run("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if empty and application in (0, _APPLICATION) and not self.read_only:
            self._write_ahead()
            self._create()
        self._check()
        if not self.read_only:
            self._write_ahead()
            run("PRAGMA synchronous = NORMAL")
            run(claims.TABLE)  # ledgers of before have none

    def _write_ahead(self) -> None:
        """Keep a log of what is written.  SQLite does not wait here for a process that does the same, so we do."""
        until = time.monotonic() + _WAIT_S
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.02)

    def _create(self) -> None:
        with self._writing() as connection:
            run = connection.execute
            if run("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return  # another process was first
            for statement in _TABLES.strip().split(";\n"):
                run(statement)
            for table in _FIELDS:
                for verb in ("UPDATE", "DELETE"):
                    run(
                        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                        f"BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
                    )
            run(f"PRAGMA application_id = {_APPLICATION}")
            run(f"PRAGMA user_version = {_VERSION}")

    def _check(self) -> None:
        run = self._connection.execute
        if run("PRAGMA application_id").fetchone()[0] != _APPLICATION:
            raise DataError(f"ledger = {str(self.path)!r} is not a ledger of burnish; give another path")
        version = run("PRAGMA user_version").fetchone()[0]
        if version != _VERSION:
            raise DataError(
                f"ledger = {str(self.path)!r} has version {version}; this burnish reads version {_VERSION}. "
                f"Use the burnish that wrote it, or another path"
            )
        for table, fields in {**_FIELDS, "claims": claims.COLUMNS}.items():
            columns = tuple(row[1] for row in run(f"PRAGMA table_info({table})"))
            if columns != fields and (columns or table != "claims"):
                raise DataError(
                    f"ledger = {str(self.path)!r}: the table {table!r} has columns {list(columns)}, "
                    f"{list(fields)} were expected; give another path"
                )
        damage = run("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise sqlite3.DatabaseError(damage)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            what = f"is damaged ({error}); give another path, or mend it (`.recover`)"
            raise DataError(f"ledger = {str(self.path)!r} {what}") from error
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                what = f"cannot be used: {error}"
            else:
                what = f"is not an SQLite file, or is damaged ({error}); give another path, or mend it (`.recover`)"
            raise DataError(f"ledger = {str(self.path)!r} {what}") from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        if self.read_only:
            raise DataError(f"ledger = {str(self.path)!r} was opened for reading only")
        with self._lock, self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    # ------------------------------------------------------------------------------------------ writing

    def add_request(
        self, *, model: str, endpoint: str, prompt: str, schema: str, items: int, body: str
    ) -> int:
        """Write a request before it is sent.

        prompt: the prompt's name and version.  schema: its fingerprint.  items: how many it asks for.  body: what is
        sent, without headers.  Returns the request's number.
        """
        row = (time.time(), model, endpoint, prompt, schema, items, body)
        with self._writing() as connection:
            return _insert(connection, "requests", row)

    def add_answer(
        self,
        request: int,
        *,
        status: str,
        text: str,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        scores: Mapping[str, tuple[str, Mapping[str, int]]] | None = None,
        holder: Holder | None = None,
    ) -> int:
        """Write what came back for a request, and the valid scores in it, in one transaction.

        status: "ok", or what went wrong.  text: the answer as it came.  scores: by `item_key`, the hash of the item's
        text and its scores by attribute.  holder: whose claims on these end with it.  Returns the answer's number.
        """
        with self._writing() as connection:
            row = (request, time.time(), status, input_tokens, output_tokens, text)
            answer = _insert(connection, "answers", row)
            for key, (hashed, values) in (scores or {}).items():
                _insert(connection, "scores", (answer, key, hashed, json.dumps(dict(values))))
            if holder is not None:
                claims.release(connection, holder, list(scores or {}))
        return answer

    def claim(self, keys: Sequence[str], holder: Holder) -> Claimed:
        """Claim questions that have no answer and that no other living run is asking, in one transaction."""
        with self._writing() as connection:
            known = self.known(keys)
            mine, theirs = claims.take(
                connection, [key for key in keys if key not in known], holder, time.time()
            )
        return Claimed(known, mine, theirs)

    def renew(self, holder: Holder) -> None:
        """Say that the holder is still at it."""
        with self._writing() as connection:
            claims.renew(connection, holder, time.time())

    def release(self, holder: Holder, keys: Sequence[str] | None = None) -> None:
        """Give claims back: these, or all."""
        with self._writing() as connection:
            claims.release(connection, holder, keys)

    # ------------------------------------------------------------------------------------------ reading

    def known(self, keys: Sequence[str]) -> dict[str, dict[str, int]]:
        """Scores by attribute for those of the keys that have a valid answer; the first one where there are several."""
        scores: dict[str, dict[str, int]] = {}
        with self._lock, self._errors():
            for start in range(0, len(keys), _AT_ONCE):
                part = keys[start : start + _AT_ONCE]
                marks = ", ".join("?" * len(part))
                query = f"SELECT key, scores FROM scores WHERE key IN ({marks}) ORDER BY id DESC"
                for key, values in self._connection.execute(query, part):
                    scores[key] = self._scores(values)
        return scores

    def text_of(self, key: str) -> str | None:
        """The first answer that is kept under a key, as it came; None where there is none."""
        query = (
            "SELECT answers.text FROM scores JOIN answers ON answers.id = scores.answer WHERE scores.key = ? "
            "ORDER BY scores.id LIMIT 1"
        )
        with self._lock, self._errors():
            found = self._connection.execute(query, (key,)).fetchone()
        return None if found is None else str(found[0])

    def _scores(self, values: str) -> dict[str, int]:
        try:
            found = parse_json(values)
        except ValueError as error:
            raise DataError(
                f"ledger = {str(self.path)!r} is damaged: {short(values)} are no scores ({error}); give another path"
            ) from error
        if not (isinstance(found, dict) and all(type(score) is int for score in found.values())):
            raise DataError(
                f"ledger = {str(self.path)!r} is damaged: {short(values)} are no scores; give another path"
            )
        return found

    def usage(self, model: str, prompts: Sequence[str]) -> Usage:
        """What the answers of a model to some prompts have used, those with a count of tokens."""
        marks = ", ".join("?" * len(prompts))
        query = (
            f"SELECT count(*), coalesce(sum(length(CAST(body AS BLOB))), 0), coalesce(sum(items), 0), "
            f"coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0) "
            f"FROM answers JOIN requests ON requests.id = answers.request "
            f"WHERE model = ? AND prompt IN ({marks}) AND input_tokens IS NOT NULL AND output_tokens IS NOT NULL"
        )
        with self._lock, self._errors():
            return Usage(*self._connection.execute(query, (model, *prompts)).fetchone())

    def count(self, table: str) -> int:
        """The number of rows in "requests", "answers" or "scores"."""
        if table not in _FIELDS:
            raise DataError(f"table = {table!r}; one of {', '.join(_FIELDS)}")
        with self._lock, self._errors():
            return int(self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def rows(self, table: str) -> Iterator[dict[str, object]]:
        """The rows of "requests", "answers" or "scores", oldest first."""
        last, fields = 0, _FIELDS.get(table)
        if fields is None:
            raise DataError(f"table = {table!r}; one of {', '.join(_FIELDS)}")
        while True:
            query = f"SELECT {', '.join(fields)} FROM {table} WHERE id > ? ORDER BY id LIMIT {_AT_ONCE}"
            with self._lock, self._errors():
                part = self._connection.execute(query, (last,)).fetchall()
            if not part:
                return
            yield from (dict(zip(fields, row, strict=True)) for row in part)
            last = part[-1][0]

    # ------------------------------------------------------------------------------------------ closing

    def close(self) -> None:
        """Close the file; a second time is harmless."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


def _insert(connection: sqlite3.Connection, table: str, row: tuple[object, ...]) -> int:
    fields = _FIELDS[table][1:]
    marks = ", ".join("?" * len(fields))
    done = connection.execute(f"INSERT INTO {table} ({', '.join(fields)}) VALUES ({marks})", row)
    return int(done.lastrowid or 0)

"""Which run is asking which question just now, so that two on one ledger do not pay for the same answer.

A claim is a row of the ledger with an end.  The run that holds it moves the end on while it lives; a claim whose end
has passed is nobody's, and so is one of a process of this machine that is no more.  So nothing that was killed,
stopped or lost its power holds up the others, and what goes wrong here costs at most a second answer.
"""

from __future__ import annotations

import hashlib
import os
import socket
import sqlite3
import sys
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

#: Seconds that a claim is good for; the run that holds it renews it four times in that time.
LEASE_S = 60.0
RENEW_S = LEASE_S / 4

TABLE = (
    "CREATE TABLE IF NOT EXISTS claims "
    "(key TEXT PRIMARY KEY, holder TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID"
)
COLUMNS = ("key", "holder", "until")
_AT_ONCE = 500  # keys a query; SQLite allows 999 parameters


@lru_cache(maxsize=1)
def this_place() -> str:
    """A hash of what process numbers belong to: the machine since it was started, and the container."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="latin-1"))
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Holder:
    """One run: where its processes are counted, its process, and a number that no other run has."""

    place: str = field(default_factory=this_place)
    process: int = field(default_factory=os.getpid)
    number: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def __str__(self) -> str:
        return f"{self.place}/{self.process}/{self.number}"


def take(
    connection: sqlite3.Connection, keys: Sequence[str], holder: Holder, now: float
) -> tuple[list[str], list[str]]:
    """Claim what nobody else has: (the keys that are the holder's now, those that are another's).

    In a transaction that writes.  What the holder has is renewed.
    """
    found: dict[str, tuple[str, float]] = {}
    for start in range(0, len(keys), _AT_ONCE):
        part = keys[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(part))
        query = f"SELECT key, holder, until FROM claims WHERE key IN ({marks})"
        found.update({key: (who, until) for key, who, until in connection.execute(query, part)})
    alive: dict[str, bool] = {}
    mine, theirs = [], []
    for key in keys:
        who, until = found.get(key, ("", 0.0))
        if who in ("", str(holder)) or _is_over(until, now) or not _is_alive(who, alive):
            mine.append(key)
        else:
            theirs.append(key)
    rows = [(key, str(holder), now + LEASE_S) for key in mine]
    connection.executemany("INSERT OR REPLACE INTO claims (key, holder, until) VALUES (?, ?, ?)", rows)
    return mine, theirs


def renew(connection: sqlite3.Connection, holder: Holder, now: float) -> None:
    """Move the end of all that the holder has on, and forget what is over."""
    connection.execute("UPDATE claims SET until = ? WHERE holder = ?", (now + LEASE_S, str(holder)))
    connection.execute("DELETE FROM claims WHERE until < ? OR until > ?", (now, now + 2 * LEASE_S))


def release(connection: sqlite3.Connection, holder: Holder, keys: Sequence[str] | None) -> None:
    """Give these keys back, or with None all that the holder has."""
    if keys is None:
        connection.execute("DELETE FROM claims WHERE holder = ?", (str(holder),))
        return
    rows = [(key, str(holder)) for key in keys]
    connection.executemany("DELETE FROM claims WHERE key = ? AND holder = ?", rows)


def _is_over(until: float, now: float) -> bool:
    """Whether a claim has ended; one that ends too late was made before the clock was put back."""
    return not now <= until <= now + 2 * LEASE_S


def _is_alive(holder: str, known: dict[str, bool]) -> bool:
    """Whether the process of a holder may be there; what cannot be told is taken for alive, until its claim ends."""
    if holder not in known:
        place, _, rest = holder.partition("/")
        process = rest.partition("/")[0]
        here = place == this_place() and process.isascii() and process.isdigit()
        known[holder] = not here or process_is_there(int(process))
    return known[holder]


def process_is_there(process: int) -> bool:
    """Whether a process of this machine lives, as far as can be told."""
    if sys.platform == "win32":
        return True  # to ask would end it
    with suppress(OSError, IndexError):
        # one that was killed and that its parent has not asked after is no more
        status = Path(f"/proc/{process}/stat").read_text(encoding="latin-1")
        return status.rpartition(")")[2].split()[0] not in ("Z", "X")
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True

"""How fast `burnish data` converts, and in how much memory: a synthetic file in the shape of Amazon's of 2023.

    python -m burnish.benchmarks.performance.converting --megabytes 300 --folder /tmp/converting

The conversion runs in a process of its own, whose largest resident memory is printed beside what the imports alone
take.  Users and items follow a power law, so that the filter has its rounds to do.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

_WORDS = 20_000  # so many different words in the synthetic texts
_CHUNK = 20_000  # rows drawn at a time
_USERS, _ITEMS = 40_000, 5_000  # drawn by a power law: few have many ratings

#: What the process of its own does; it prints the card's counts and its largest resident memory in KiB.
_CONVERT = """
import json, resource, sys, time
from burnish.backbones.converters import Options, convert_amazon
import pyarrow.parquet
bare = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start, busy = time.perf_counter(), time.process_time()
card = convert_amazon(sys.argv[1], sys.argv[2], options=Options(int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]))
seconds = [time.perf_counter() - start, time.process_time() - busy]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([*seconds, bare, peak, card.before.ratings, card.after.ratings, card.rounds]))
"""


def reviews(characters: int, seed: int) -> Iterator[str]:
    """Endless lines: users and items by the power law, texts of `characters` letters on average."""
    draw = np.random.default_rng(seed)
    words = np.array(["".join(draw.choice(list("etaoinshrdlu"), 5)) for _ in range(_WORDS)])
    row = 0
    while True:
        users, items = (draw.random(_CHUNK) ** 3 * n for n in (_USERS, _ITEMS))
        lengths = draw.geometric(6 / characters, _CHUNK)
        for user, item, length in zip(users.tolist(), items.tolist(), lengths.tolist(), strict=True):
            row += 1
            text = " ".join(words[draw.integers(0, _WORDS, length)])
            record = {
                "rating": float(1 + row % 5),
                "title": "five words of a title",
                "text": text,
                "images": [],
                "asin": f"B{int(item):09d}",
                "parent_asin": f"B{int(item):09d}",
                "user_id": f"AE{int(user):026d}",
                "timestamp": 1_600_000_000_000 + 1000 * row,
                "helpful_vote": row % 3,
                "verified_purchase": row % 2 == 0,
            }
            yield json.dumps(record) + "\n"


def write_file(path: Path, size: int, characters: int, seed: int = 1) -> int:
    """Write lines until they have `size` bytes; how many they are.  Gzip by the name."""
    rows = written = 0
    with gzip.open(path, "wb", compresslevel=1) if path.suffix == ".gz" else path.open("wb") as file:
        for line in reviews(characters, seed):
            data = line.encode()
            file.write(data)
            rows, written = rows + 1, written + len(data)
            if written >= size:
                return rows
    return rows


def measure(
    path: Path, out: Path, least: tuple[int, int], file_format: str
) -> tuple[float, float, int, int, int, int, int]:
    """Seconds, seconds of the processor, KiB after the imports and at the peak, rows before and after, rounds."""
    shutil.rmtree(out, ignore_errors=True)
    words = [str(path), str(out), *map(str, least), file_format]
    command = [sys.executable, "-c", _CONVERT, *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds, busy, bare, peak, before, after, rounds = json.loads(done.stdout.splitlines()[-1])
    return seconds, busy, bare, peak, before, after, rounds


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row a file, filter and format."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, nargs="+", default=[100, 300], help="of text, before gzip")
    parser.add_argument("--characters", type=int, default=350, help="mean length of a review")
    parser.add_argument("--folder", type=Path, default=None, help="where the files go (a temporary folder)")
    parser.add_argument("--gzip", action="store_true", help="of gzip files only")
    chosen = parser.parse_args(arguments)
    table = Table(
        "MB",
        "file",
        "filter",
        "format",
        "rows",
        "kept",
        "rounds",
        "s",
        "cpu s",
        "rows/cpu s",
        "MiB more",
        "MiB",
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for megabytes in chosen.megabytes:
            for ending in (".jsonl.gz",) if chosen.gzip else (".jsonl", ".jsonl.gz"):
                path = folder / f"reviews{megabytes}{ending}"
                start = time.perf_counter()
                write_file(path, megabytes * 10**6, chosen.characters)
                Console(stderr=True).print(f"{path}: made in {time.perf_counter() - start:.0f} s")
                for least, file_format in (((20, 5), "parquet"), ((1, 1), "parquet"), ((1, 1), "tsv")):
                    row = measure(path, folder / "made", least, file_format)
                    seconds, busy, bare, peak, before, after, rounds = row
                    cells = [
                        megabytes,
                        ending,
                        f"{least[0]}/{least[1]}",
                        file_format,
                        f"{before:,}",
                        f"{after:,}",
                    ]
                    cells += [rounds, f"{seconds:.1f}", f"{busy:.1f}", f"{before / busy:,.0f}"]
                    table.add_row(*map(str, cells), f"{(peak - bare) / 1024:.0f}", f"{peak / 1024:.0f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()

"""Lines of plain and gzip files, and what is said about files that are damaged or something else."""

from __future__ import annotations

import gzip
import os
import random
from pathlib import Path

import pytest

from burnish.backbones.converters import lines as module
from burnish.backbones.converters.lines import check_file, lines
from burnish.errors import DataError

TEXT = b"one\n\ntwo\r\nthree"


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.json-really-gzip"])
def test_plain_and_gzip(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(TEXT) if "gz" in name else TEXT)
    assert list(lines(path)) == [(1, b"one"), (2, b""), (3, b"two"), (4, b"three")]


def test_progress_ends_at_the_size(tmp_path: Path) -> None:
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(b"x\n" * 10_000))
    seen: list[tuple[int, int]] = []
    assert sum(1 for _ in lines(path, lambda done, total: seen.append((done, total)))) == 10_000
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (path.stat().st_size,) * 2


def noise(n: int) -> bytes:
    """`n` lines that hardly compress."""
    draw = random.Random(3)
    return b"".join(b"%030x\n" % draw.getrandbits(120) for _ in range(n))


def test_truncated_gzip(tmp_path: Path) -> None:
    path = tmp_path / "a.json.gz"
    whole = gzip.compress(noise(20_000))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        DataError,
        match=r"a\.json\.gz is cut off somewhere after line \d+.*Download it again.*--skip-broken.*zcat",
    ):
        list(lines(path))


@pytest.mark.parametrize("cut", [0.5, 0.99, "trailer"])
def test_what_is_whole_of_a_cut_gzip(cut: float | str, tmp_path: Path) -> None:
    path, text = tmp_path / "a.json.gz", noise(20_000)
    whole = gzip.compress(text)
    path.write_bytes(whole[:-8] if cut == "trailer" else whole[: int(len(whole) * float(cut))])
    seen: list[tuple[int, str]] = []
    found = list(lines(path, cut=lambda number, wrong: seen.append((number, wrong))))
    assert [line for _, line in found] == text.splitlines()[: len(found)]
    assert seen == [(len(found), f"cut off somewhere after line {len(found)}: the gzip stream has no end")]
    assert len(found) == 20_000 if cut == "trailer" else 20_000 * float(cut) - 3000 < len(found) < 20_000


def test_damaged_gzip(tmp_path: Path) -> None:
    path = tmp_path / "a.json.gz"
    whole = bytearray(gzip.compress(noise(2000)))
    whole[-6] ^= 255  # the checksum at the end
    path.write_bytes(bytes(whole))
    with pytest.raises(DataError, match=r"damaged somewhere after line \d+ .*Download it again"):
        list(lines(path))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json.gz", b'{"a": 1}\n', "named .gz but is not gzip.*drop .gz"),
        ("a.json", b"", "is empty"),
        ("a.zip", b"PK\x03\x04xxxx", "zip archive; unpack it"),
        ("a.tar", b"x" * 257 + b"ustar" + b"x" * 300, "tar archive; unpack it"),
        ("a.parquet", b"PAR1xxxx", "parquet"),
    ],
)
def test_other_files(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        check_file(tmp_path / name)
    assert name in str(caught.value)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        check_file(tmp_path / "none.json")
    with pytest.raises(DataError, match="is a folder"):
        check_file(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="read twice"):
        check_file(tmp_path / "pipe")


def test_one_endless_line_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_LINE", 2**20)
    path = tmp_path / "array.json"
    path.write_bytes(b"[" + b"1," * 2**20)
    with pytest.raises(DataError, match="line 1 is longer than 1 MiB; expected one JSON object a line"):
        list(lines(path))

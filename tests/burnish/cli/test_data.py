"""`burnish data` from the command line: files in, a data set out, and one clear message when it cannot be."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from published_reviews import SHAPES, block, write_lines
from typer.testing import CliRunner

from burnish.cli.main import app


def call(*words: object) -> Any:
    return CliRunner().invoke(app, ["data", *map(str, words)])


def source(folder: Path, kind: str, users: int = 4, items: int = 5) -> Path:
    return write_lines(folder / f"{kind}.json.gz", [SHAPES[kind](row) for row in block(users, items)])


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_reviews_in_a_data_set_out(tmp_path: Path, kind: str) -> None:
    file, out = source(tmp_path, kind), tmp_path / "dataset" / "mine"
    verb = "yelp" if kind == "yelp" else "amazon"
    done = call(verb, "--reviews", file, "--out", out, "--min-user", 5, "--min-item", 4)
    assert done.exit_code == 0, done.output
    assert f"{kind}: 4 users, 5 items, 20 ratings" in done.stderr
    assert "burnish run --model DReX --dataset mine --data-path" in done.stderr
    assert len(pd.read_parquet(out / "mine.reviews.parquet")) == 20


def test_metadata_format_and_quiet(tmp_path: Path) -> None:
    meta = write_lines(tmp_path / "meta.json", ["{'asin': 'I0', 'title': 'It\\'s'}"])
    file, out = source(tmp_path, "amazon-2014"), tmp_path / "mine"
    words = ["--reviews", file, "--meta", meta, "--out", out, "--min-user", 1, "--format", "tsv", "--quiet"]
    done = call("amazon", *words, "--min-item", 1)
    assert (done.exit_code, done.output) == (0, "")
    assert (out / "mine.item").read_text().splitlines()[:2] == ["item_id:token\ttitle:token_seq", "I0\tIt's"]
    assert (out / "mine.reviews.tsv.gz").is_file()


def test_yelp_with_businesses_and_users(tmp_path: Path) -> None:
    business = write_lines(tmp_path / "b.json", [{"business_id": "I0", "name": "Bar"}])
    user = write_lines(tmp_path / "u.json", [{"user_id": "U0", "fans": 3}])
    out = tmp_path / "mine"
    words = ["--reviews", source(tmp_path, "yelp"), "--business", business, "--user", user]
    done = call("yelp", *words, "--out", out, "--min-user", 1, "--min-item", 1)
    assert done.exit_code == 0, done.output
    assert "1 of 5 items are known" in done.stderr
    assert "1 of 4 users are known" in done.stderr
    assert (out / "mine.user").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "csv"], "format 'csv' is not known"),
        (["--dedupe", "first"], "value of dedupe 'first' is not known"),
        (["--min-user", "400"], "none of its 20 ratings stays with --min-user 400"),
        (["--reviews", "none.json"], "none.json: there is no such file"),
        (["--out", "ml-100k"], "take another"),
    ],
)
def test_bad_input_is_one_message_and_2(tmp_path: Path, words: list[str], said: str) -> None:
    file = source(tmp_path, "amazon-2018")
    usual = ["--reviews", file, "--out", tmp_path / "mine", "--min-user", 1, "--min-item", 1]
    done = call("amazon", *usual, *words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("error:") == 1
    assert "Traceback" not in done.output
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_broken_lines_and_a_second_time(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "r.json", [*map(SHAPES["amazon-2023"], block(2, 2)), "{broken"])
    usual = ["--reviews", file, "--out", tmp_path / "mine", "--min-user", 1, "--min-item", 1]
    done = call("amazon", *usual)
    assert done.exit_code == 2
    assert "r.json, line 5: it is not JSON" in done.stderr
    done = call("amazon", *usual, "--skip-broken")
    assert done.exit_code == 0
    assert "1 broken lines of r.json were left out" in done.stderr
    assert "--force" in call("amazon", *usual, "--skip-broken").stderr
    assert call("amazon", *usual, "--skip-broken", "--force").exit_code == 0


#: The command, whose process presses Ctrl-C on itself when reviews are written and metadata are to be read.
_INTERRUPTED = """
import importlib, os, signal, sys
from burnish.cli.main import main

signal.signal(signal.SIGINT, signal.default_int_handler)

def describe(published, stem, *_):
    print(*sorted(path.name for path in stem.parent.iterdir()))
    os.kill(os.getpid(), signal.SIGINT)

importlib.import_module("burnish.backbones.converters.convert")._describe = describe
sys.argv[0] = "burnish"
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    file = source(tmp_path, "amazon-2014")
    words = ["--reviews", file, "--out", tmp_path / "mine", "--min-user", 1, "--min-item", 1]
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED, "data", "amazon", *map(str, words)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 130, done.stderr
    assert done.stdout.split()  # files were there
    assert "nothing was written" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_help_has_examples() -> None:
    for words in ((), ("amazon",), ("yelp",)):
        assert "burnish data" in call(*words, "--help").output.split("Example", 1)[1]


@pytest.mark.parametrize("which", ["reviews", "meta"])
def test_what_is_whole_of_a_cut_gzip(tmp_path: Path, which: str) -> None:
    whole = [SHAPES["amazon-2023"](row) for row in block(40, 50)]
    files = {
        "reviews": write_lines(tmp_path / "r.json.gz", whole),
        "meta": write_lines(
            tmp_path / "m.json.gz",
            [
                {"parent_asin": f"I{n}", "title": hashlib.sha256(bytes([n % 256])).hexdigest()}
                for n in range(3000)
            ],
        ),
    }
    cut = files[which]
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 2 // 3])
    usual = ["--reviews", files["reviews"], "--meta", files["meta"], "--out", tmp_path / "mine"]
    usual += ["--min-user", 1, "--min-item", 1]
    done = call("amazon", *usual)
    assert done.exit_code == 2
    assert re.search(
        rf"{cut.name} is cut off somewhere after line \d+: .*--skip-broken does .*zcat", done.stderr
    )
    assert not (tmp_path / "mine").exists()
    done = call("amazon", *usual, "--skip-broken")
    assert done.exit_code == 0, done.output
    said = re.findall(rf"warning: .*{cut.name} is cut off somewhere after line (\d+)", done.stderr)
    assert len(said) == 1
    rows = (tmp_path / "mine" / "mine.inter").read_text().splitlines()[1:]
    assert len(rows) == (int(said[0]) if which == "reviews" else len(whole))
    assert 0 < int(said[0]) < (len(whole) if which == "reviews" else 3000)
    assert (
        f"{cut.name} is cut off somewhere after line {said[0]}"
        in (tmp_path / "mine" / "README.txt").read_text()
    )
    card = json.loads((tmp_path / "mine" / "mine.card.json").read_text())
    assert list(card["cut"]) == [cut.name]

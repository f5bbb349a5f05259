"""`burnish guide` from the command line: the real server of the llm scorer's tests, RecBole's own ml-100k."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import ChatServer, Misdeed, expected
from typer.testing import CliRunner

from burnish.cli.main import app
from burnish.enhancers.guided.attributes import load_schema
from burnish.enhancers.guided.scorers.files import read_scores
from burnish.enhancers.guided.scorers.settings import Settings
from burnish.enhancers.guided.scorers.shipped import shipped_scores

N = 60
SCHEMA = """
domain: films
instruction: Score the film itself.
attributes: {humor: how funny it is, pacing: momentum}
contrasts: {humor: [a sad film, a comedy]}
"""


def call(*words: str) -> Any:
    return CliRunner().invoke(app, ["guide", *words])


@pytest.fixture
def films(here: Path) -> Path:
    """The data set "tiny" with titles, and a schema."""
    lines = ["item_id:token\ttitle:token_seq", *(f"i{number}\tFilm {number}" for number in range(N))]
    (here / "dataset" / "tiny" / "tiny.item").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (here / "my.yaml").write_text(SCHEMA, encoding="utf-8")
    return here


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("TEST_KEY", "sk-secret")
    with ChatServer(key="sk-secret") as running:
        yield running


def llm(server: ChatServer, *words: str) -> list[str]:
    url = ["--base-url", server.url, "--api-key-env", "TEST_KEY"]
    own = ["--scorer", "llm", "--model", "tiny-model", "--schema", "my.yaml", "--dataset", "tiny"]
    return ["score", *own, *url, *words]


def right(name: str) -> np.ndarray:
    return np.array([expected(json.dumps({"title": f"Film {k}"}), name, "") for k in range(N)], dtype=float)


# ---------------------------------------------------------------------- schemas and init


def test_schemas(here: Path) -> None:
    assert call("schemas", "--quiet").stdout.split() == [
        "beauty",
        "books",
        "clothing",
        "films",
        "games",
        "music",
        "restaurants",
        "software",
    ]
    assert "melodic_complexity" in call("schemas").stdout
    assert call("schemas", "films").stdout.startswith("domain: films")
    wrong = call("schemas", "film")
    assert wrong.exit_code == 2
    assert "Did you mean 'films'" in wrong.output


def test_init_writes_a_schema_to_edit(here: Path) -> None:
    assert call("init", "--domain", "games").exit_code == 0
    assert load_schema(here / "games.yaml") == load_schema("games")
    again = call("init", "--domain", "games")
    assert again.exit_code == 2
    assert "exists already" in again.output
    (here / "games.yaml").write_text("old")
    assert call("init", "--domain", "games", "--out", "games.yaml", "--overwrite").exit_code == 0
    assert load_schema(here / "games.yaml") == load_schema("games")


# ---------------------------------------------------------------------- scoring by a language model


def test_scores_by_the_model_and_again_for_nothing(films: Path, server: ChatServer) -> None:
    prices = ["--price-in", "1", "--price-out", "2", "--max-usd", "5"]
    done = call(*llm(server, "--out", "new/scores.tsv", *prices))
    assert done.exit_code == 0, done.output
    scores = read_scores(films / "new" / "scores.tsv", load_schema(films / "my.yaml"))
    assert scores.ids == tuple(f"i{number}" for number in range(N))
    np.testing.assert_array_equal(scores.values, np.stack([right("humor"), right("pacing")], axis=1))
    assert scores.uncertainty is not None
    np.testing.assert_array_equal(scores.uncertainty, 0)
    assert re.search(r"used: 18 requests, .* in, .* out, \$0\.\d+", done.output)  # 6 groups of 10, 3 wordings
    assert (films / "ledger.sqlite").is_file()
    assert "sk-secret" not in done.output
    for path in films.rglob("*"):
        assert path.is_dir() or b"sk-secret" not in path.read_bytes()
    sent = len(server.seen)
    again = call(*llm(server, "--out", "again.csv", "--replay"))
    assert again.exit_code == 0, again.output
    assert "nothing was sent" in again.output
    assert len(server.seen) == sent
    np.testing.assert_array_equal(read_scores(films / "again.csv").values, scores.values)


def test_a_dry_run_sends_nothing(films: Path, server: ChatServer) -> None:
    done = call(*llm(server, "--dry-run", "--price-in", "1", "--price-out", "2", "--prompts", "1"))
    assert done.exit_code == 0, done.output
    assert not server.seen
    assert not (films / "ledger.sqlite").exists()
    assert re.search(r"requests\s+6\b", done.stdout)
    assert re.search(r"price\s+about \$0\.0\d+", done.stdout)
    request = json.loads(done.stdout.split("the first request:\n")[1])
    assert request["model"] == "tiny-model"
    assert len(re.findall(r"Film \d+", request["messages"][-1]["content"])) == 10


def test_a_limit_stops_and_the_next_call_goes_on(films: Path, server: ChatServer) -> None:
    words = llm(server, "--out", "scores.tsv", "--prompts", "1", "--concurrency", "1")
    stopped = call(*words, "--max-requests", "2")
    assert stopped.exit_code != 0
    assert "max_requests = 2" in stopped.output
    assert not (films / "scores.tsv").exists()
    assert call(*words).exit_code == 0
    assert len(server.seen) == 6
    assert set(server.asked.values()) == {1}


def test_users_from_their_training_history(films: Path, server: ChatServer) -> None:
    done = call(*llm(server, "--users", "--history", "3", "--seed", "7", "--prompts", "1", "--out", "u.tsv"))
    assert done.exit_code == 0, done.output
    scores = read_scores(films / "u.tsv", id_column="user_id")
    assert sorted(scores.ids) == sorted(f"u{number}" for number in range(40))
    rows = (films / "dataset" / "tiny" / "tiny.inter").read_text().splitlines()[1:]
    all_pairs = {tuple(row.split("\t")[:2]) for row in rows}
    for text in server.asked:
        history = json.loads(text)["history"].split("\n")
        assert len(history) == 3
        numbers = [re.match(r"Film (\d+)", line) for line in history]
        items = {f"i{found[1]}" for found in numbers if found}
        assert any(items <= {item for user, item in all_pairs if user == one} for one in scores.ids)


@pytest.mark.parametrize("backbone", ["BPR", "SASRec"])
def test_a_run_takes_users_of_its_own_split_only(films: Path, server: ChatServer, backbone: str) -> None:
    """A random split by seed, and one by time, which whole sequences are trained on."""
    split = {
        "BPR": "{split: {RS: [0.8, 0.1, 0.1]}, order: RO}",
        "SASRec": "{split: {LS: valid_and_test}, order: TO}",
    }
    own = [
        "--eval_args",
        split[backbone],
        *(["--train_neg_sample_args", "null"] if backbone == "SASRec" else []),
    ]
    own += ["--load_col", "{inter: [user_id, item_id, timestamp]}"]
    file = films / "dataset" / "tiny" / "tiny.inter"
    head, *rows = file.read_text(encoding="utf-8").splitlines()
    timed = [f"{head}\ttimestamp:float", *(f"{row}\t{n * 7919 % 1009}" for n, row in enumerate(rows))]
    file.write_text("\n".join(timed) + "\n", encoding="utf-8")
    words = ["--users", "--backbone", backbone, "--seed", "7", "--prompts", "1", "--out", "u.tsv"]
    done = call(*llm(server, *words, *own))
    assert done.exit_code == 0, done.output
    assert call(*llm(server, "--out", "i.tsv", "--prompts", "1")).exit_code == 0
    guided = ["--enhancers.guided.scores", "i.tsv", "--enhancers.guided.user_scores", "u.tsv"]
    small = ["--epochs", "1", "--embedding_size", "8", "--hidden_size", "8", "--n_heads", "1", "-q"]
    run = ["run", "--model", backbone, "--dataset", "tiny", *guided, *small]
    good = CliRunner().invoke(app, [*run, *own, "--seed", "7"])
    assert good.exit_code == 0, good.output
    assert "training rows" not in good.output
    other = {
        "BPR": [*own, "--seed", "8"],
        "SASRec": [*own[2:], "--eval_args", "{split: {RS: [6, 2, 2]}, order: TO}"],
    }
    refused = CliRunner().invoke(app, [*run, *other[backbone]])
    assert refused.exit_code == 2
    assert "other training rows" in refused.output
    assert "--users" in refused.output


def test_a_refused_key_is_said_without_it(
    films: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-expired")
    done = call(*llm(server, "--out", "scores.tsv"))
    assert done.exit_code != 0
    assert "TEST_KEY" in done.output
    assert "sk-expired" not in done.output
    assert not (films / "scores.tsv").exists()


def test_gaps_are_counted_and_named(films: Path, server: ChatServer) -> None:
    about_7 = Misdeed(
        content=lambda right: "I cannot", when=lambda body: '"Film 7"' in body["messages"][-1]["content"]
    )
    server.misbehave(about_7)
    done = call(*llm(server, "--out", "scores.tsv", "--prompts", "1", "--retries", "1"))
    assert done.exit_code == 0, done.output
    assert "1 rows with gaps" in done.output
    assert "i7:" in done.output
    values = read_scores(films / "scores.tsv").values
    assert np.flatnonzero(np.isnan(values).any(axis=1)).tolist() == [7]


def test_ctrl_c_leaves_nothing_half_written_and_goes_on(films: Path, server: ChatServer) -> None:
    server.delay = 0.15
    words = llm(
        server, "--out", "scores.tsv", "--prompts", "1", "--concurrency", "1", "--items-per-request", "5"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "burnish", "guide", *words],
        cwd=films,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while len(server.seen) < 3 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "the same command goes on from there" in output
    assert sorted(path.name for path in films.iterdir() if "scores" in path.name) == []
    server.delay = 0.0
    assert call(*words).exit_code == 0
    assert max(server.answered.values()) == 1
    np.testing.assert_array_equal(read_scores(films / "scores.tsv").values[:, 0], right("humor"))


# ---------------------------------------------------------------------- the other scorers


def test_shipped_and_file(here: Path) -> None:
    done = call("score", "--dataset", "ml-100k", "--scorer", "shipped", "--out", "a.parquet")
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(read_scores(here / "a.parquet").values, shipped_scores("ml-100k").values)
    taken = ["--scorer", "file", "--from", "a.parquet", "--schema", "films"]
    assert call("score", "--dataset", "ml-100k", *taken, "--out", "b.csv").exit_code == 0
    np.testing.assert_array_equal(read_scores(here / "b.csv").values, shipped_scores("ml-100k").values)


def test_by_the_encoder_offline(films: Path) -> None:
    pytest.importorskip("sentence_transformers")
    names = ["A Comedy of Laughs", "A Sad Farewell"]
    text = "\n".join(["item_id:token\ttitle:token_seq", *(f"i{k}\t{names[k % 2]}" for k in range(N))])
    (films / "dataset" / "tiny" / "tiny.item").write_text(text + "\n", encoding="utf-8")
    done = call("score", "--dataset", "tiny", "--schema", "my.yaml", "--out", "scores.tsv")
    assert done.exit_code == 0, done.output
    humor = read_scores(films / "scores.tsv", load_schema(films / "my.yaml")).values[:, 0]
    assert humor[0::2].min() > humor[1::2].max()


def test_help_describes_the_model_s_options_as_settings_do() -> None:
    shown = CliRunner().invoke(app, ["guide", "score", "--help"], env={"COLUMNS": "200"}).stdout
    for name in ("base_url", "api_key_env", "prompts", "concurrency", "timeout", "retries", "replay"):
        description = str(Settings.model_fields[name].description).split(". ")[0]
        row = next(line for line in shown.splitlines() if f"--{name.replace('_', '-')} " in line)
        assert f"llm: {description}" in row
    for end in (
        "to 3 (3).",
        "request (10).",
        "take (60).",
        "again (6).",
        "(OPENAI_API_KEY).",
        "(ledger.sqlite).",
    ):
        assert end in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--scorer", "lm"], "scorer 'lm' is not known. Did you mean 'llm'"),
        (["--scorer", "llm"], "name the model"),
        (["--scorer", "encoder", "--max-usd", "1"], "an option of --scorer llm"),
        (["--scorer", "encoder", "--users"], "an option of --scorer llm"),
        (["--scorer", "file"], "belong together"),
        (["--scorer", "shipped", "--model", "x"], "no model behind"),
        (["--scorer", "encoder", "--history", "3"], "with --users only"),
        (["--scorer", "llm", "--model", "x", "--price-in", "1"], "together"),
        (
            ["--scorer", "llm", "--model", "x", "--schema", "films", "--max-usd", "1"],
            "max_usd = 1.0 without a price",
        ),
        (["--scorer", "encoder"], "no schema is given"),
        (["--scorer", "encoder", "--schema", "film"], "Did you mean 'films'"),
        (["--scorer", "encoder", "--schema", "films", "--columns", "titel"], "text column 'titel'"),
        (["--scorer", "encoder", "--schema", "films", "--out", "x.xlsx"], "suffix '.xlsx'"),
        (["--scorer", "encoder", "--schema", "films", "--dataset", "tinny"], "Did you mean 'tiny'"),
    ],
)
def test_what_cannot_be_is_said_at_once(films: Path, words: list[str], said: str) -> None:
    before = sorted(films.iterdir())
    done = call("score", "--dataset", "tiny", "--out", "scores.tsv", *words)
    assert done.exit_code == 2
    assert said in re.sub(r"[\s│]+", " ", done.output)
    assert sorted(films.iterdir()) == before


def test_nowhere_to_write(films: Path) -> None:
    done = call("score", "--dataset", "tiny", "--schema", "films")
    assert done.exit_code == 2
    assert "--out" in done.output


# ---------------------------------------------------------------------- show


def test_show_the_shipped_scores_with_titles(here: Path) -> None:
    one = call("show", "--scores", "ml-100k", "--item", "1")
    assert one.exit_code == 0, one.output
    assert "Toy Story" in one.stdout
    assert re.search(r"family_friendliness\W+9\.00", one.stdout)
    ends = call("show", "--scores", "ml-100k", "--top", "violence", "--k", "2").stdout
    found = [re.search(r"(\d\.\d\d)", line) for line in ends.splitlines()]
    assert [match[1] for match in found if match] == ["9.00", "9.00", "0.00", "0.00"]
    table = call("show", "--scores", "ml-100k").stdout
    mean = shipped_scores("ml-100k").values[:, 3].mean()
    assert re.search(rf"humor\W+{mean:.2f}\W", table)


def test_show_a_file(films: Path) -> None:
    (films / "s.tsv").write_text("item_id\thumor\thumor_sd\ni0\t1\t0.5\ni1\t\t\ni2\t7\t0\n")
    table = call("show", "--scores", "s.tsv").stdout
    assert re.search(r"humor\W+4\.00\W+3\.00\W+1\.00\W+7\.00\W+1\W+i2", table)
    assert "Film 2" in call("show", "--scores", "s.tsv", "--dataset", "tiny").stdout
    profile = call("show", "--scores", "s.tsv", "--item", "i2").stdout
    assert re.search(r"humor\W+7\.00\W+0\.00\W+75%", profile)
    assert "i1" not in call("show", "--scores", "s.tsv", "--top", "humor").stdout
    for words, said in (
        (["--item", "i9"], "id 'i9' is not known"),
        (["--top", "humour"], "Did you mean 'humor'"),
        (["--top", "humor", "--item", "i0"], "not both"),
    ):
        wrong = call("show", "--scores", "s.tsv", *words)
        assert wrong.exit_code == 2
        assert said in wrong.output

"""`burnish clean`: which rows go, that files keep the rest to the letter, and that all of it can be undone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

import burnish
import burnish.training.clean_data as module
from burnish.cli.main import app
from burnish.enhancers.clean.planted import NoiseShare, Suspicion

PARTS = ("train", "valid", "test")


def write_data(folder: Path, name: str = "shop") -> list[str]:
    """A hundred users with 15 of 60 items: quotes, blanks, an empty cell and a large time in the file.  Its rows."""
    rng = np.random.default_rng(3)
    rows = [
        f"u{user}\ti {item}\t{rng.integers(1, 6)}\t{1_700_000_001 + int(rng.integers(10**6))}\t"
        + ("" if item % 7 else "x y")
        for user in range(100)
        for item in rng.choice(60, 15, replace=False)
    ]
    rows = [rows[place] for place in rng.permutation(len(rows))]
    own = folder / name
    own.mkdir(parents=True)
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float\tnote:token"
    (own / f"{name}.inter").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    (own / f"{name}.item").write_text('item_id:token\ttitle:token\ni 3\tÖl, "in" there\n', encoding="utf-8")
    return rows


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    return write_data(tmp_path / "data")


@pytest.fixture
def suspects(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """`suspicion` takes every third row for noise, the surer the later; gives the pairs that it was asked about."""
    asked: list[Any] = []

    def stand_in(users: Any, items: Any, n_users: int, n_items: int, **options: Any) -> Suspicion:
        asked.append((users, items, options["must_help"]))
        n = len(users)
        probability = torch.where(torch.arange(n) % 3 == 0, 0.5 + 0.5 * torch.arange(n) / n, torch.zeros(n))
        shares = tuple(NoiseShare(kind, 0.3, 0.2, 0.4) for kind in options["kinds"])
        return Suspicion(probability, torch.ones(n, dtype=torch.long), shares)

    monkeypatch.setattr(module, "suspicion", stand_in)
    return asked


def call(*words: str) -> str:
    found = CliRunner().invoke(app, ["clean", *words])
    assert found.exit_code == 0, found.output
    return str(found.output)


def lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


def test_what_is_removed_and_put_back(shop: list[str], suspects: list[Any], tmp_path: Path) -> None:
    said = call("--dataset", "shop", "--data_path", "data", "--out", "data/tidy", "--seed", "5")
    tidy = tmp_path / "data/tidy"
    rows = {part: lines(tidy / f"tidy.{part}.inter") for part in PARTS}
    heads = {part: own.pop(0) for part, own in rows.items()}
    assert set(heads.values()) == {lines(tmp_path / "data/shop/shop.inter")[0]}
    removed = pd.read_parquet(tidy / "removed.parquet")
    texts = ["\t".join(row) for row in removed.iloc[:, :5].to_numpy()]
    assert sorted([*rows["train"], *rows["valid"], *rows["test"], *texts]) == sorted(shop)
    # Of 11 or 12 training interactions of a user a quarter is 2 or 3 at most.
    by_user = removed.groupby("user_id:token").size()
    training = pd.Series([row.split("\t")[0] for row in [*rows["train"], *texts]]).value_counts()
    assert (by_user <= (0.25 * training[by_user.index]).astype(int)).all()
    assert by_user.max() > 1
    assert f"{len(texts):,} of {len(suspects[0][0]):,} training interactions removed" in said
    stay = -(-len(suspects[0][0]) // 3) - len(texts)
    assert f"; {stay} more look so and stay, as their users have lost enough" in " ".join(said.split())
    assert set(removed["kind"]) == {"popular"}
    assert removed["reason"][0].startswith("place ")
    assert lines(tidy / "tidy.item") == lines(tmp_path / "data/shop/shop.item")
    assert json.loads((tidy / "clean.json").read_text(encoding="utf-8"))["removed"] == len(texts)

    call("--put-back", "data/tidy", "--out", "data/again")
    again = tmp_path / "data/again"
    assert lines(again / "again.valid.inter")[1:] == rows["valid"]
    training_rows = lines(again / "again.train.inter")[1:]
    # As the training part was, in its order.
    users = suspects[0][0]
    assert len(training_rows) == len(users)
    ids: dict[str, int] = {}
    for row, user in zip(training_rows, users.tolist(), strict=True):
        assert ids.setdefault(row.split("\t")[0], user) == user
    assert sorted(training_rows) == sorted([*rows["train"], *texts])
    assert not list(tmp_path.glob("data/.partial*"))


def test_parts_are_those_of_a_run(shop: list[str], suspects: list[Any], tmp_path: Path) -> None:
    """Where nothing goes: a run on the files has the rows of a run on the data, and so its figures."""
    options: dict[str, Any] = {
        "data_path": "data",
        "epochs": 1,
        "embedding_size": 4,
        "metrics": ["NDCG"],
        "topk": [10],
    }
    options["valid_metric"] = "NDCG@10"
    call("--dataset", "shop", "--data_path", "data", "--out", "data/tidy", "--drop-from", "1", "--seed", "7")
    own = burnish.run("BPR", "shop", config=options, seed=7)
    parts = burnish.run("BPR", "tidy", config={**options, "benchmark_filename": list(PARTS)}, seed=7)

    def pairs(result: Any, part: str) -> list[tuple[str, str]]:
        data = getattr(result.trained.splits, part)
        return sorted(
            (data.id2token("user_id", user), data.id2token("item_id", item))
            for user, item in zip(
                *(data.inter_feat[name].tolist() for name in ("user_id", "item_id")), strict=True
            )
        )

    for part in ("training", "validation", "test"):
        assert pairs(own, part) == pairs(parts, part)


def test_only_the_training_part_is_looked_at(shop: list[str], suspects: list[Any], tmp_path: Path) -> None:
    call("--dataset", "shop", "--data_path", "data", "--out", "data/tidy", "--seed", "5")
    held = sum(len(lines(tmp_path / f"data/tidy/tidy.{part}.inter")) - 1 for part in ("valid", "test"))
    assert len(suspects[0][0]) == len(shop) - held


def test_whole(shop: list[str], suspects: list[Any], tmp_path: Path) -> None:
    call("--dataset", "shop", "--data_path", "data", "--out", "data/tidy", "--whole")
    assert len(suspects[0][0]) == len(shop)
    removed = pd.read_parquet(tmp_path / "data/tidy/removed.parquet")
    texts = ["\t".join(row) for row in removed.iloc[:, :5].to_numpy()]
    left = lines(tmp_path / "data/tidy/tidy.inter")[1:]
    assert [row for row in shop if row not in set(texts)] == left
    call("--put-back", "data/tidy", "--out", "data/again")
    assert lines(tmp_path / "data/again/again.inter")[1:] == shop


def test_why_rows_of_bots_and_of_click_bait_go(
    shop: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stand_in(users: Any, items: Any, n_users: int, n_items: int, **options: Any) -> Suspicion:
        shares = tuple(NoiseShare(kind, 0.3, 0.2, 0.4) for kind in options["kinds"])
        return Suspicion(torch.ones(len(users)), torch.arange(len(users)) % 5, shares)

    monkeypatch.setattr(module, "suspicion", stand_in)
    call(
        *("--dataset", "shop", "--data_path", "data", "--out", "data/tidy", "--most-of-user", "1"),
        *("--kinds", "uniform,popular,position,bots,clickbait"),
    )
    removed = pd.read_parquet(tmp_path / "data/tidy/removed.parquet").groupby("kind")["reason"]
    assert set(removed.groups) == {"uniform", "popular", "position", "bots", "clickbait"}
    for kind, begins in (
        ("uniform", "place "),
        ("bots", "most of what this user has fits no other user; place "),
        ("clickbait", "most users of this item have nothing else in common; place "),
    ):
        assert removed.get_group(kind).str.startswith(begins).all()


def test_filters_leave_the_right_rows(shop: list[str], suspects: list[Any], tmp_path: Path) -> None:
    """Row numbers are of the file, though rows before them are gone."""
    call(
        "--dataset", "shop", "--data_path", "data", "--out", "data/tidy", "--whole",
        "--val_interval", "{rating: '[3,inf)'}", "--load_col", "{inter: [user_id, item_id, rating]}",
    )  # fmt: skip
    removed = pd.read_parquet(tmp_path / "data/tidy/removed.parquet")
    texts = ["\t".join(row) for row in removed.iloc[:, :5].to_numpy()]
    left = lines(tmp_path / "data/tidy/tidy.inter")[1:]
    assert sorted([*left, *texts]) == sorted(row for row in shop if int(row.split("\t")[2]) >= 3)


def test_parts_in_files(shop: list[str], suspects: list[Any], tmp_path: Path) -> None:
    call("--dataset", "shop", "--data_path", "data", "--out", "data/one", "--drop-from", "1")
    files = ("--benchmark_filename", "[train, valid, test]")
    call("--dataset", "one", "--data_path", "data", "--out", "data/two", "--drop-from", "0.9", *files)
    one, two = (
        {part: lines(tmp_path / f"data/{name}/{name}.{part}.inter") for part in PARTS}
        for name in ("one", "two")
    )
    assert one["valid"] == two["valid"]
    assert one["test"] == two["test"]
    removed = pd.read_parquet(tmp_path / "data/two/removed.parquet")
    assert 0 < len(removed) == len(one["train"]) - len(two["train"])
    assert [one["train"][1 + place] for place in removed["place"]] == [
        "\t".join(row) for row in removed.iloc[:, :5].to_numpy()
    ]


def test_only_what_is_liked_is_looked_at(shop: list[str], suspects: list[Any], tmp_path: Path) -> None:
    words = ("--dataset", "shop", "--data_path", "data", "--LABEL_FIELD", "rating", "--positive-from", "3")
    words = (*words, "--load_col", "{inter: [user_id, item_id, rating]}")
    call(*words, "--need-not-help", "--out", "data/tidy")
    call("--dataset", "shop", "--data_path", "data", "--dry-run")
    training = [row.split("\t") for row in lines(tmp_path / "data/tidy/tidy.train.inter")[1:]]
    removed = pd.read_parquet(tmp_path / "data/tidy/removed.parquet")
    assert set(removed["rating:float"]) == {"3", "4", "5"}
    liked = sum(float(row[2]) >= 3 for row in training) + len(removed)
    n_training = len(training) + len(removed)
    assert liked < n_training
    assert [(len(users), helps) for users, _, helps in suspects] == [(liked, False), (n_training, True)]


def test_a_dry_run_writes_nothing(shop: list[str], suspects: list[Any], tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    said = call("--dataset", "shop", "--data_path", "data", "--dry-run")
    assert "uniform noise 30.0% (20.0% to 40.0%)" in said
    said = call("--dataset", "shop", "--data_path", "data", "--dry-run", "--out", "data/tidy")
    assert "--out data/tidy has no effect with --dry-run" in " ".join(said.split())
    assert [path for path in sorted(tmp_path.rglob("*")) if "log" not in str(path)] == before


def test_clean_data_lose_nothing(shop: list[str], tmp_path: Path) -> None:
    """No stand-in: every user keeps to a taste."""
    rng = np.random.default_rng(0)
    rows = ["user_id:token\titem_id:token"]
    for user in range(150):
        own = 2 * rng.choice(40, 15, replace=False) + user % 2
        rows += [f"u{user}\ti{item}" for item in own]
    folder = tmp_path / "data/tastes"
    folder.mkdir()
    (folder / "tastes.inter").write_text("\n".join(rows) + "\n", encoding="utf-8")
    said = call("--dataset", "tastes", "--data_path", "data", "--dry-run", "--kinds", "uniform")
    assert "nothing is removed of 1,950 training interactions" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--dataset", "shop", "--data_path", "data"), "--out is missing"),
        (("--out", "x"), "--dataset is missing"),
        (("--dataset", "shop", "--data_path", "data", "--out", "data/shop"), "is there already"),
        (("--dataset", "shop", "--data_path", "data", "--out", "x", "--kinds", "unifrom"), "unifrom"),
        (("--dataset", "shop", "--data_path", "data", "--out", "x", "--drop-from", "2"), "--drop-from = 2"),
        (("--dataset", "shop", "--data_path", "data", "--out", "x", "--noise", "0.2"), "is in no file"),
        (
            ("--dataset", "shop", "--data_path", "data", "--out", "x", "--drop_from", "0.5"),
            "option --drop_from is not known. Did you mean --drop-from?",
        ),
        (("--put-back", "data/shop", "--out", "x"), "has no clean.json"),
        (("--put-back", "data/shop"), "needs --out"),
        (
            (
                "--dataset",
                "shop",
                "--data_path",
                "data",
                "--out",
                "x",
                "--eval_args",
                "{split: {RS: [0.8, 0, 0.2]}}",
            ),
            "leaves nothing for valid.inter",
        ),
        (
            ("--put-back", "data/shop", "--out", "x", "--least", "0.2"),
            "--least: it has no effect with --put-back",
        ),
        (
            ("--put-back", "data/shop", "--out", "x", "--need-not-help"),
            "--need-not-help: it has no effect with --put-back",
        ),
        (
            ("--dataset", "shop", "--data_path", "data", "--out", "x", "--kinds", ","),
            "--kinds = []: name one kind of noise or more, of uniform, popular, bots, clickbait, position",
        ),
        (
            ("--dataset", "shop", "--data_path", "data", "--out", "x", "--most-of-user", "0"),
            "clean: --most-of-user = 0.0",
        ),
        (
            ("--put-back", "data/shop", "--out", "x", "--epochs", "2"),
            "--epochs: it has no effect with --put-back",
        ),
        (("--dataset", "shop", "--data_path", "data", "--out", "data/shop/shop.item/x"), "cannot be written"),
    ],
)
def test_refusals(shop: list[str], words: tuple[str, ...], says: str) -> None:
    found = CliRunner().invoke(app, ["clean", *words])
    assert found.exit_code != 0
    assert says in " ".join(found.output.split())
    assert not Path("x").exists()


def change_train(folder: Path) -> None:
    rows = lines(folder / "tidy.train.inter")
    (folder / "tidy.train.inter").write_text("\n".join([*rows[:5], *rows[6:], rows[5], ""]), encoding="utf-8")


def change_removed(folder: Path) -> None:
    frame = pd.read_parquet(folder / "removed.parquet")
    frame.loc[0, "item_id:token"] = "i 59"
    frame.to_parquet(folder / "removed.parquet", index=False)


def spoil_record(folder: Path) -> None:
    content = json.loads((folder / "clean.json").read_text(encoding="utf-8"))
    del content["separator"]
    (folder / "clean.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (change_train, "tidy.train.inter is not as `burnish clean` wrote it"),
        (change_removed, "removed.parquet is not as `burnish clean` wrote it"),
        (
            lambda folder: (folder / "removed.parquet").write_text("x", encoding="utf-8"),
            "removed.parquet is not as",
        ),
        (lambda folder: (folder / "removed.parquet").unlink(), "has no clean.json and removed.parquet"),
        (spoil_record, "clean.json is damaged (separator: Field required)"),
        (lambda folder: (folder / "clean.json").write_text("[]", encoding="utf-8"), "clean.json is damaged"),
        (lambda folder: (folder / "clean.json").write_text("{", encoding="utf-8"), "clean.json is damaged"),
        (lambda folder: (folder / "tidy.train.inter").rename(folder / "x.inter"), "has no tidy.train.inter"),
    ],
)
def test_nothing_is_put_back_into_another_place(
    shop: list[str], suspects: list[Any], tmp_path: Path, change: Any, says: str
) -> None:
    """Places are those of the files that were written."""
    call("--dataset", "shop", "--data_path", "data", "--out", "data/tidy")
    change(tmp_path / "data/tidy")
    found = CliRunner().invoke(app, ["clean", "--put-back", "data/tidy", "--out", "data/again"])
    assert found.exit_code == 2
    assert says in " ".join(found.output.split())
    assert not Path("data/again").exists()


def test_a_data_set_called_clean(
    shop: list[str], suspects: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose record is called as its files are; put back from within the folder."""
    call("--dataset", "shop", "--data_path", "data", "--out", "data/clean")
    call(
        "--dataset", "clean", "--data_path", "data", "--out", "data/twice",
        "--benchmark_filename", "[train, valid, test]",
    )  # fmt: skip
    assert sorted(file.name for file in (tmp_path / "data/twice").iterdir()) == [
        *("clean.json", "removed.parquet", "twice.item"),
        *("twice.test.inter", "twice.train.inter", "twice.valid.inter"),
    ]
    monkeypatch.chdir(tmp_path / "data/twice")
    call("--put-back", ".", "--out", "../once")
    once = tmp_path / "data/once"
    assert sorted(file.name for file in once.iterdir()) == [
        "once.item",
        *(f"once.{part}.inter" for part in sorted(PARTS)),
    ]
    for part in PARTS:
        assert lines(once / f"once.{part}.inter") == lines(tmp_path / f"data/clean/clean.{part}.inter")
    monkeypatch.chdir(tmp_path)
    call("--put-back", "data/clean", "--out", "data/before")
    assert sorted(file.name for file in Path("data/before").iterdir()) == [
        "before.item",
        *(f"before.{part}.inter" for part in sorted(PARTS)),
    ]


def test_only_positive_interactions_are_looked_at(
    shop: list[str], suspects: list[Any], tmp_path: Path
) -> None:
    call(
        "--dataset", "shop", "--data_path", "data", "--out", "data/tidy", "--whole",
        "--LABEL_FIELD", "rating", "--load_col", "{inter: [user_id, item_id, rating]}",
    )  # fmt: skip
    liked = [row for row in shop if int(row.split("\t")[2]) >= 4]
    assert len(suspects[0][0]) == len(liked)
    removed = pd.read_parquet(tmp_path / "data/tidy/removed.parquet")
    texts = ["\t".join(row) for row in removed.iloc[:, :5].to_numpy()]
    by_user: dict[str, int] = {}
    for row in liked:
        by_user[row.split("\t")[0]] = by_user.get(row.split("\t")[0], 0) + 1
    # Every third of the liked rows is suspect, the later the surer; a user loses a quarter of the liked ones at most.
    expected: list[str] = []
    taken: dict[str, int] = {}
    for row in reversed(liked[::3]):
        user = row.split("\t")[0]
        if taken.get(user, 0) < int(0.25 * by_user[user]):
            taken[user] = taken.get(user, 0) + 1
            expected.append(row)
    assert sorted(texts) == sorted(expected)
    assert [shop[place] for place in removed["place"]] == texts
    assert lines(tmp_path / "data/tidy/tidy.inter")[1:] == [row for row in shop if row not in set(texts)]


def test_separators_of_two_signs(shop: list[str], suspects: list[Any], tmp_path: Path) -> None:
    folder = tmp_path / "data/colons"
    folder.mkdir()
    rows = ["user_id:token;;item_id:token;;note:token"]
    rows += ['{};;{};;5" {}'.format(*row.split("\t")[:2], row.split("\t")[3]) for row in shop]
    (folder / "colons.inter").write_text("\n".join(rows) + "\n", encoding="utf-8")
    call(
        "--dataset",
        "colons",
        "--data_path",
        "data",
        "--out",
        "data/tidy",
        "--whole",
        "--field_separator",
        ";;",
    )
    left = lines(tmp_path / "data/tidy/tidy.inter")
    assert 0 < len(rows) - len(left) == len(pd.read_parquet(tmp_path / "data/tidy/removed.parquet"))
    assert set(left) < set(rows)
    call("--put-back", "data/tidy", "--out", "data/again")
    assert lines(tmp_path / "data/again/again.inter") == rows


def test_a_folder_that_came_meanwhile_stays(
    shop: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(users: Any, items: Any, n_users: int, n_items: int, **options: Any) -> Suspicion:
        (tmp_path / "data/tidy").mkdir()
        (tmp_path / "data/tidy/mine.txt").write_text("mine", encoding="utf-8")
        shares = tuple(NoiseShare(kind, 0.0, 0.0, 0.1) for kind in options["kinds"])
        return Suspicion(torch.zeros(len(users)), torch.zeros(len(users), dtype=torch.long), shares)

    monkeypatch.setattr(module, "suspicion", slow)
    found = CliRunner().invoke(
        app, ["clean", "--dataset", "shop", "--data_path", "data", "--out", "data/tidy"]
    )
    assert found.exit_code == 2
    assert "is there already" in found.output
    assert (tmp_path / "data/tidy/mine.txt").read_text(encoding="utf-8") == "mine"


def test_the_command_that_is_told(shop: list[str], suspects: list[Any]) -> None:
    said = call("--dataset", "shop", "--data_path", "data", "--out", "my data/tidy")
    assert (
        "burnish run --model BPR --dataset tidy --data_path 'my data' --benchmark_filename '[train, valid, test]'"
        in said
    )


def test_reasons_and_probabilities_are_those_of_their_rows(
    shop: list[str], suspects: list[Any], tmp_path: Path
) -> None:
    """How little EASE says of the pair from the user's others, by dense products, and how many users the item has."""
    call("--dataset", "shop", "--data_path", "data", "--out", "data/tidy", "--whole")
    pairs = [tuple(row.split("\t")[:2]) for row in shop]
    users, items = (
        {one: place for place, one in enumerate(sorted(set(side)))} for side in zip(*pairs, strict=True)
    )
    known = np.zeros((len(users), len(items)))
    for user, item in pairs:
        known[users[user], items[item]] = 1
    inverse = np.linalg.inv(known.T @ known + 500 * np.eye(len(items)))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    said = known @ weights
    removed = pd.read_parquet(tmp_path / "data/tidy/removed.parquet")
    np.testing.assert_allclose(removed["probability"], 0.5 + 0.5 * removed["place"] / len(shop), rtol=1e-6)
    for place, reason in zip(removed["place"], removed["reason"], strict=True):
        user, item = (side[one] for side, one in zip((users, items), pairs[place], strict=True))
        lower = int((said[user][known[user] > 0] < said[user, item]).sum())
        assert reason == (
            f"place {lower + 1} of the user's 15 items, from the one that the others say least of; "
            f"{int(known[:, item].sum())} users with the item"
        )


def test_what_is_asked_told_and_recorded(
    shop: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Suspect are three of four rows of some users, of one kind after the other; a user loses four rows of 15."""
    asked: list[dict[str, Any]] = []
    probability, kind_of = np.zeros(len(shop)), np.arange(len(shop)) % 4
    for place, row in enumerate(shop):
        if int(row.split("\t")[0][1:]) < 50 and place % 4:
            probability[place] = 0.7 + 0.3 * place / len(shop)

    def stand_in(users: Any, items: Any, n_users: int, n_items: int, **options: Any) -> Suspicion:
        asked.append(options)
        shares = tuple(NoiseShare(kind, 0.3, 0.2, 0.4, 0.02, 0.01) for kind in options["kinds"])
        return Suspicion(torch.from_numpy(probability).float(), torch.from_numpy(kind_of), shares)

    monkeypatch.setattr(module, "suspicion", stand_in)
    said = call(
        *("--dataset", "shop", "--data_path", "data", "--out", "data/tidy", "--whole", "--seed", "5"),
        *("--least", "0.02", "--kinds", "popular, bots,uniform,clickbait", "--most-of-user", "0.3"),
        *("--drop-from", "0.75"),
    )
    kinds = ("popular", "bots", "uniform", "clickbait")
    (options,) = asked
    options.pop("progress")
    assert options == {
        "kinds": kinds, "least": 0.02, "planted": 0.1, "repeats": 2, "must_help": True, "seed": 5
    }  # fmt: skip
    suspect = [place for place in range(len(shop)) if probability[place] >= 0.75]
    gone: list[int] = []
    lost: dict[str, int] = {}
    for place in reversed(suspect):
        user = shop[place].split("\t")[0]
        if lost.get(user, 0) < 4:
            lost[user] = lost.get(user, 0) + 1
            gone.append(place)
    gone.sort()
    assert 0 < len(gone) < len(suspect)
    assert len(lost) < 100
    removed = pd.read_parquet(tmp_path / "data/tidy/removed.parquet")
    assert removed["place"].tolist() == gone
    assert removed["kind"].tolist() == [kinds[place % 4] for place in gone]
    told = f"{len(gone)} of 1,500 training interactions removed, of {len(lost)} users; {len(suspect) - len(gone)} more"
    assert told in " ".join(said.split())
    record = json.loads((tmp_path / "data/tidy/clean.json").read_text(encoding="utf-8"))
    assert record["seed"] == 5
    assert record["rows"] == {"train": 1500}
    assert (record["removed"], record["users"]) == (len(gone), len(lost))
    assert record["look so and stay"] == len(suspect) - len(gone)
    assert record["options"]["most_of_user"] == 0.3
    assert record["noise at most"] == [
        {"kind": kind, "share": 0.3, "low": 0.2, "high": 0.4, "gain": 0.02, "error": 0.01} for kind in kinds
    ]
    back = call("--put-back", "data/tidy", "--out", "data/again")
    assert f"{len(gone)} interactions are back, in data/again" in back


@pytest.mark.parametrize("separator", ["\t", ";;"])
def test_files_of_parts_keep_their_own_columns(
    shop: list[str], suspects: list[Any], tmp_path: Path, separator: str
) -> None:
    folder = tmp_path / "data/parted"
    folder.mkdir()
    head = ["user_id:token", "item_id:token", "rating:float"]
    columns = {"train": [0, 1, 2], "valid": [1, 0], "test": [0, 1]}
    for part, own in columns.items():
        rows = [head, *(row.split("\t")[:3] for row in (shop[:1300] if part == "train" else shop[1300:]))]
        texts = [separator.join(row[place] for place in own) for row in rows]
        (folder / f"parted.{part}.inter").write_text("\n".join(texts) + "\n", encoding="utf-8")
    call(
        "--dataset", "parted", "--data_path", "data", "--out", "data/tidy", "--field_separator", separator,
        "--benchmark_filename", "[train, valid, test]",
    )  # fmt: skip
    for part in ("valid", "test"):
        assert lines(tmp_path / f"data/tidy/tidy.{part}.inter") == lines(folder / f"parted.{part}.inter")
    assert set(lines(tmp_path / "data/tidy/tidy.train.inter")) < set(lines(folder / "parted.train.inter"))
    call("--put-back", "data/tidy", "--out", "data/again")
    assert lines(tmp_path / "data/again/again.train.inter") == lines(folder / "parted.train.inter")

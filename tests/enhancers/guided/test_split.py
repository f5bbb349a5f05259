"""Users' scores know which training rows made them, and are refused where these are not the run's."""

from __future__ import annotations

import random
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from guided_world import guided_of, quiet_world, write_table, write_world
from recbole.config import Config
from recbole.data import create_dataset, data_preparation

from burnish import Guided
from burnish.enhancers.conformance.data import NAME
from burnish.enhancers.guided.attributes import make_schema
from burnish.enhancers.guided.lora import lessons
from burnish.enhancers.guided.scorers.files import SPLIT, chosen_rows, read_scores, write_scores
from burnish.enhancers.guided.scorers.protocol import Scores
from burnish.enhancers.guided.split import both_splits, training_fingerprint
from burnish.enhancers.guided.texts import item_texts, user_texts
from burnish.errors import ConfigurationError, DataError

LEAVE_ONE_OUT = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}
Rows = list[tuple[str, str, int, int]]


def some_rows() -> Rows:
    """User, item, rating, time: 12 users with 9 items each, no two at one time; some items come late only."""
    draw = random.Random(4)
    rows = []
    for user in range(12):
        items = draw.sample(range(30), 7) + draw.sample(range(30, 36), 2)
        rows += [(f"u{user}", f"i{item}", draw.randint(1, 5), 100 * user + n) for n, item in enumerate(items)]
    return rows


def held_out(rows: Rows) -> set[int]:
    """Places of each user's last two."""
    last: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        last.setdefault(row[0], []).append(place)
    return {place for own in last.values() for place in sorted(own, key=lambda p: rows[p][3])[-2:]}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])


def training(folder: Path, rows: Rows, model: str = "BPR", **options: Any) -> Any:
    """RecBole's training split of these rows."""
    data = folder / "films"
    data.mkdir(parents=True, exist_ok=True)
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    lines += ["\t".join(map(str, row)) for row in rows]
    (data / "films.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
    titles = [f"i{item}\tFilm {item}" for item in range(36)]
    (data / "films.item").write_text("\n".join(["item_id:token\ttitle:token_seq", *titles]) + "\n")
    settings = {
        "data_path": str(folder),
        "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]},
        "eval_args": LEAVE_ONE_OUT,
        "show_progress": False,
        "MAX_ITEM_LIST_LENGTH": 20,
        **({"train_neg_sample_args": None} if model == "SASRec" else {}),
        **options,
    }
    config = Config(model=model, dataset="films", config_dict=settings)
    return data_preparation(config, create_dataset(config))[0]._dataset


def test_backbones_of_either_kind_have_the_same_training_rows(tmp_path) -> None:
    rows = some_rows()
    plain = training_fingerprint(training(tmp_path, rows))
    assert training_fingerprint(training(tmp_path, rows, "SASRec")) == plain
    assert training_fingerprint(training(tmp_path, rows, "NeuMF")) == plain
    shuffled = random.Random(1).sample(rows, len(rows))
    assert training_fingerprint(training(tmp_path, shuffled)) == plain


@pytest.mark.parametrize("model", ["BPR", "SASRec"])
def test_what_is_held_out_changes_nothing_and_what_is_trained_on_does(tmp_path, model: str) -> None:
    rows = some_rows()
    late = held_out(rows)
    before = training_fingerprint(training(tmp_path / "a", rows, model))
    names = [row[1] for place, row in enumerate(rows) if place in late]
    moved = iter(random.Random(2).sample(names, len(names)))
    other = [
        (u, next(moved) if n in late else i, 6 - s if n in late else s, t)
        for n, (u, i, s, t) in enumerate(rows)
    ]
    assert other != rows
    assert training_fingerprint(training(tmp_path / "b", other, model)) == before
    renamed = [(u, f"i{29 - n % 5}" if n in late else i, s, t) for n, (u, i, s, t) in enumerate(rows)]
    assert training_fingerprint(training(tmp_path / "c", renamed, model)) == before
    for place in [place for place in range(len(rows)) if place not in late][:9:4]:
        user, _, rating, time = rows[place]
        changed = [*rows[:place], (user, "i35", rating, time), *rows[place + 1 :]]
        assert training_fingerprint(training(tmp_path / "d", changed, model)) != before
        assert (
            training_fingerprint(training(tmp_path / "e", rows[:place] + rows[place + 1 :], model)) != before
        )


def test_ids_that_run_together_are_told_apart(tmp_path) -> None:
    def of(*pairs: tuple[str, str]) -> str:
        rows = [(u, i, 3, n) for n, (u, i) in enumerate(pairs)]
        return training_fingerprint(
            training(tmp_path, rows, eval_args={**LEAVE_ONE_OUT, "split": {"RS": [1, 0, 0]}})
        )

    found = [of(("a", "bc"), ("d", "e")), of(("ab", "c"), ("d", "e")), of(("a", "e"), ("d", "bc"))]
    assert len(set(found)) == 3
    assert of(("a", "b"), ("a", "b"), ("c", "d")) != of(("a", "b"), ("c", "d"))


@pytest.mark.parametrize("seed", [1, 2])
def test_texts_of_users_carry_it(tmp_path, seed: int) -> None:
    eval_args = {**LEAVE_ONE_OUT, "split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO"}
    train = training(tmp_path, some_rows(), eval_args=eval_args, seed=seed)
    items = item_texts(train)
    assert items.split is None
    texts = user_texts(train, items)
    assert texts.split == training_fingerprint(train)
    assert texts.take([1, 3]).split == texts.split
    found = lessons(train, dict(zip(items.ids, items.fields["title"], strict=True)))
    assert found.histories.split == found.whole.split == texts.split


def test_two_splits_in_one_are_neither() -> None:
    assert both_splits("a", "a") == "a"
    assert both_splits("a", "b") not in ("a", "b", None)
    assert both_splits(None, "a") is both_splits("a", None) is both_splits(None, None) is None


# ---------------------------------------------------------------------- in files


def some_scores(split: str | None = "abc") -> Scores:
    values, spread = np.array([[1.0, 2.5], [np.nan, 0.0]]), np.array([[0.5, 0.0], [np.nan, 1.0]])
    return Scores(("u1", "u2"), ("pace", "wit"), values, spread, split=split)


@pytest.mark.parametrize("suffix", ["tsv", "csv", "parquet"])
@pytest.mark.parametrize("split", ["abc", None])
def test_files_keep_it_beside_the_scores(tmp_path, suffix: str, split: str | None) -> None:
    path = tmp_path / f"users.{suffix}"
    write_scores(some_scores(split), path, id_column="user_id")
    schema = make_schema({"domain": "d", "instruction": "i", "attributes": {"wit": "w", "pace": "p"}})
    for read in (read_scores(path), read_scores(path, schema, id_column="user_id")):
        assert read.split == split
        assert set(read.attributes) == {"pace", "wit"}
        assert read.only(["wit"]).split == chosen_rows(read, ["u2"]).split == split
    again = read_scores(path)
    np.testing.assert_array_equal(again.values, some_scores().values)
    np.testing.assert_array_equal(again.uncertainty, some_scores().uncertainty)


@pytest.mark.parametrize("cells", [("a", "b"), ("a", ""), ("", "b")])
def test_rows_of_several_splits_are_refused(tmp_path, cells: tuple[str, str]) -> None:
    path = tmp_path / "users.tsv"
    path.write_text(f"user_id\twit\t{SPLIT}\nu1\t1\t{cells[0]}\nu2\t2\t{cells[1]}\n")
    with pytest.raises(
        DataError, match=r"users\.tsv: column 'training_split' holds 2 values.*score the users again"
    ):
        read_scores(path)
    path.write_text(f"user_id\twit\t{SPLIT}\nu1\t1\t\nu2\t2\t\n")
    assert read_scores(path).split is None


def test_an_attribute_cannot_take_its_name(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="training_split"):
        make_schema({"domain": "d", "instruction": "i", "attributes": {SPLIT: "x"}})
    with pytest.raises(ConfigurationError, match="training_split"):
        write_scores(Scores(("u",), (SPLIT,), np.zeros((1, 1))), tmp_path / "s.tsv")


# ---------------------------------------------------------------------- in a run


def users_file(folder: Path, split: str | None) -> str:
    ids = tuple(f"u{number}" for number in range(1, 41))
    values = np.random.default_rng(1).integers(0, 10, (40, 2)).astype(float)
    path = folder / "users.tsv"
    write_scores(Scores(ids, ("pace", "wit"), values, split=split), path, id_column="user_id")
    return str(path)


@pytest.mark.parametrize("model", ["BPR", "SASRec"])
def test_a_run_takes_scores_of_its_own_training_rows_only(tmp_path, model: str) -> None:
    scores = str(write_world(tmp_path))
    split = training_fingerprint(quiet_world(model, tmp_path).train._dataset)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quiet_world(model, tmp_path, Guided(scores=scores, user_scores=users_file(tmp_path, split)))
    assert not [one for one in caught if "training rows" in str(one.message)]
    wrong = users_file(tmp_path, split[::-1])
    with pytest.raises(DataError, match=r"users\.tsv'.*other training rows.*score the users again.*--seed"):
        quiet_world(model, tmp_path, Guided(scores=scores, user_scores=wrong))
    # a control that has no use for them reads none
    quiet_world(model, tmp_path, Guided(scores=scores, user_scores=wrong, control="random"))


def test_scores_that_do_not_say_are_taken_with_a_warning(tmp_path) -> None:
    scores = str(write_world(tmp_path))
    with pytest.warns(UserWarning, match=r"users\.tsv'.*which training rows.*not known whether.*--users"):
        quiet_world("BPR", tmp_path, Guided(scores=scores, user_scores=users_file(tmp_path, None)))


def test_another_seed_of_a_random_split_is_another_split(tmp_path) -> None:
    scores = str(write_world(tmp_path))
    random_split = {"eval_args": {**LEAVE_ONE_OUT, "split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO"}}
    split = training_fingerprint(
        quiet_world("BPR", tmp_path, options={**random_split, "seed": 7}).train._dataset
    )
    guided = Guided(scores=scores, user_scores=users_file(tmp_path, split))
    quiet_world("BPR", tmp_path, guided, options={**random_split, "seed": 7})
    with pytest.raises(DataError, match="other training rows"):
        quiet_world("BPR", tmp_path, guided, options={**random_split, "seed": 8})


@pytest.mark.parametrize("model", ["BPR", "SASRec"])
def test_held_out_rows_reach_neither_scores_nor_starts(tmp_path, model: str) -> None:
    """Every user's last two items are exchanged between users: nothing that guided starts with moves."""
    scores = str(write_world(tmp_path))
    options = {"eval_args": LEAVE_ONE_OUT}
    world = quiet_world(model, tmp_path, options=options)
    file = tmp_path / NAME / f"{NAME}.inter"
    head, *lines = file.read_text(encoding="utf-8").splitlines()
    columns = [name.split(":")[0] for name in head.split("\t")]
    user, item, time = (columns.index(name) for name in ("user_id", "item_id", "timestamp"))
    cells = [line.split("\t") for line in lines]
    own_file = users_file(tmp_path, training_fingerprint(world.train._dataset))
    before = guided_of(
        quiet_world(model, tmp_path, Guided(scores=scores, user_scores=own_file), options=options)
    )
    late = []
    for name in {row[user] for row in cells}:
        own = sorted(
            (n for n, row in enumerate(cells) if row[user] == name), key=lambda n: float(cells[n][time])
        )
        late += own[-2:]
    late.sort()
    names = [cells[n][item] for n in late]
    for n, name in zip(late, names[7:] + names[:7], strict=True):
        cells[n][item] = name
    file.write_text("\n".join([head, *("\t".join(row) for row in cells)]) + "\n", encoding="utf-8")
    after = guided_of(
        quiet_world(model, tmp_path, Guided(scores=scores, user_scores=own_file), options=options)
    )
    found = [
        {token: made.profile(side, n) for n, token in enumerate(tokens) if n}
        for made in (before, after)
        for side, tokens in (("user", _tokens(made, "user")), ("item", _tokens(made, "item")))
    ]
    assert found[0] == found[2]
    assert found[1] == found[3]


def _tokens(made: Guided, side: str) -> list[str]:
    return list(made._tokens) if side == "item" else [f"u{n}" for n in range(len(made.start))]


def test_what_is_written_by_hand_can_say_it_too(tmp_path) -> None:
    scores = str(write_world(tmp_path))
    split = training_fingerprint(quiet_world("BPR", tmp_path).train._dataset)
    ids = [f"u{number}" for number in range(1, 41)]
    file = write_table(tmp_path / "u.tsv", "user_id", ids, {"pace": [5] * 40, "wit": [3] * 40})
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join([f"{lines[0]}\t{SPLIT}", *(f"{line}\t{split}" for line in lines[1:])]) + "\n")
    quiet_world("BPR", tmp_path, Guided(scores=scores, user_scores=str(file)))
    assert replace(read_scores(file), split=None).split is None

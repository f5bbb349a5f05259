"""Nothing is dropped without a word: the data line, its warning, names that look like missing values, other ids."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from burnish.cli.main import app
from burnish.errors import DataError
from burnish.telling import summaries_told_to
from burnish.training.session import log_file


def line_of(world: Any, model: str = "BPR", **options: Any) -> str:
    lines: list[str] = []
    with summaries_told_to(lines.append):
        world.dataset(model, **options)
    (line,) = lines
    return line


def test_the_line(world: Any) -> None:
    assert line_of(world) == ("data d: 240 interactions read, none dropped; 30 users, 25 items, density 32%")


def test_items_without_a_row(world: Any) -> None:
    lines = world.texts["item"].splitlines(keepends=True)
    world.write("item", "".join(lines[:11]))
    gone = sum(int(row.split("\t")[1][1:]) > 10 for row in world.texts["inter"].splitlines()[1:])
    with pytest.warns(UserWarning, match=rf"{100 * gone / 240:.0f}% of the interactions of 'd' are not used"):
        line = line_of(world)
    assert f"{gone} dropped ({gone} whose item_id has no row in d.item)" in line
    assert "10 items" in line


def test_each_reason_counts(world: Any) -> None:
    text = world.texts["inter"].replace("u1\ti5\t", "\ti5\t", 1)
    text += "u2\ti25\t3\t1\n" + "lonely\ti1\t3\t1\n"
    world.write("inter", text)
    filters = {
        "user_inter_num_interval": "[2,inf)",
        "rm_dup_inter": "first",
        "val_interval": {"rating": "[2,inf)"},
    }
    with pytest.warns(UserWarning, match="not used"):
        line = line_of(world, **filters)
    for reason in (
        "1 with an empty user_id",
        "1 repeat an earlier pair (rm_dup_inter)",
        "outside val_interval",
        "1 of users or items outside the inter_num_interval",
    ):
        assert reason in line


def test_the_counts_add_up(world: Any) -> None:
    lines: list[str] = []
    with summaries_told_to(lines.append), pytest.warns(UserWarning, match="not used"):
        dataset = world.dataset(val_interval={"rating": "[4,inf)"})
    read, dropped = 240, int(lines[0].split("read, ")[1].split(" dropped")[0])
    assert read - dropped == len(dataset.inter_feat) > 0


@pytest.mark.parametrize("name", ["NA", "null", "nan", "None", "n/a", "NULL"])
def test_names_that_look_like_missing_values_are_names(world: Any, name: str) -> None:
    world.write("inter", world.texts["inter"].replace("u1\t", f"{name}\t").replace("\ti3\t", f"\t{name}\t"))
    with pytest.warns(UserWarning, match=rf"user_id '{name}' in 8 rows is kept as a name"):
        dataset = world.dataset(load_col={"inter": ["user_id", "item_id"]})
    assert name in dataset.field2id_token["user_id"]
    assert name in dataset.field2id_token["item_id"]
    assert len(dataset.inter_feat) == 240


@pytest.mark.parametrize("blank", [" ", "\u00a0", "\u3000", "\u200b", " \ufeff"])
def test_ids_with_blanks_are_said(world: Any, blank: str) -> None:
    lines = world.texts["inter"].splitlines(keepends=True)
    lines[1:4] = [line.replace("\t", f"{blank}\t", 1) for line in lines[1:4]]
    world.write("inter", "".join(lines))
    with pytest.warns(
        UserWarning, match=r"d\.inter: user_id has blanks .* in 3 rows, as in 'u\d+.*; 1 of these 1 ids"
    ):
        dataset = world.dataset(load_col={"inter": ["user_id", "item_id"]})
    assert dataset.user_num == 1 + 31
    world.write("inter", world.texts["inter"])
    world.spoil("item", "i5\t", f"{blank}i5\t")
    with pytest.warns(
        UserWarning, match=r"d\.item: item_id has blanks or invisible characters around it in 1 row, as"
    ):
        world.dataset()


@pytest.mark.parametrize("suffix", ["item", "user"])
def test_ids_of_another_kind(world: Any, suffix: str) -> None:
    letter = {"item": "i", "user": "u"}[suffix]
    world.write(suffix, world.texts[suffix].replace(f"\n{letter}", "\n"))
    load = {"inter": "*", suffix: "*"}
    with pytest.raises(
        DataError, match=rf"no {suffix}_id of d\.inter \('{letter}\d+', .* is in d\.{suffix} \('1', "
    ):
        world.train(load_col=load)


@pytest.mark.parametrize(("suffix", "letter"), [("link", "i"), ("kg", "e")])
def test_links_of_another_kind(world: Any, suffix: str, letter: str) -> None:
    text = (
        world.texts[suffix].replace(f"\n{letter}", "\nx").replace("\te", "\tx" if suffix == "kg" else "\te")
    )
    world.write(suffix, text)
    with pytest.raises(DataError, match=rf"is in d\.{suffix} \('x"):
        world.train("CKE")


def test_items_without_a_link_are_counted(world: Any) -> None:
    world.write("link", "".join(world.texts["link"].splitlines(keepends=True)[:21]))
    with pytest.warns(UserWarning, match="not used"):
        line = line_of(world, "CKE")
    assert "whose item has no entity in d.link and d.kg" in line


def test_nothing_left_says_what_took_it(world: Any) -> None:
    with pytest.raises(
        DataError, match=r"d\.inter: no interaction is left.*240 outside val_interval|240 dropped"
    ):
        world.train(val_interval={"rating": "[9,inf)"})


def test_the_command_line_says_the_line(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [
        "run",
        "--model=BPR",
        "-d",
        "d",
        "--data_path",
        str(world.folder.parent),
        "--epochs=1",
        "-o",
        "out",
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "data d: 240 interactions read, none dropped; 30 users, 25 items, density 32%" in done.stderr
    assert "data d: 240 interactions read" in Path("out/log.txt").read_text()


def test_warnings_reach_the_screen_beside_a_log_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with log_file(tmp_path / "log.txt"):
        logging.getLogger().warning("look here")
        logging.getLogger().info("not this")
    assert capsys.readouterr().err == "look here\n"
    assert "not this" in (tmp_path / "log.txt").read_text()
    assert logging.getLogger().handlers == []

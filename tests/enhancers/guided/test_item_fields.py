"""Columns of the item file as attributes, against cells read by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from guided_world import guided_of, quiet_training, quiet_world, write_world

from burnish.enhancers.conformance.data import NAME
from burnish.enhancers.conformance.world import World
from burnish.enhancers.guided.guided import Guided
from burnish.enhancers.guided.item_fields import beside, field_scores
from burnish.enhancers.guided.scorers.protocol import Scores
from burnish.errors import ConfigurationError, DataError, UnknownNameError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    file = folder / NAME / f"{NAME}.item"
    lines = file.read_text().splitlines()
    rows = [f"{lines[0]}\tyear:token\ttags:token_seq"]
    for number, line in enumerate(lines[1:]):
        year = "" if number == 3 else str(1950 + number)
        rows.append(f"{line}\t{year}\t{('dark', 'dark slow', 'slow')[number % 3] if number != 5 else ''}")
    rows[-1] += " once"
    file.write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def world(folder: Path) -> World:
    return quiet_world("BPR", folder)


def cells(folder: Path) -> dict[str, tuple[str, str]]:
    lines = (folder / NAME / f"{NAME}.item").read_text().splitlines()[1:]
    return {(row := line.split("\t"))[0]: (row[-2], row[-1]) for line in lines}


def test_numbers_as_they_are_and_words_as_yes_or_no(folder: Path, world: World) -> None:
    found = field_scores(world.dataset, ["tags", "year"])
    assert found.attributes == ("tags_dark", "tags_slow", "year")  # "once" is there once
    by_hand = cells(folder)
    assert set(found.ids) == set(by_hand)
    for token, (dark, slow, year) in zip(found.ids, found.values, strict=True):
        own_year, own_tags = by_hand[token]
        assert (np.isnan(year) and own_year == "") or year == float(own_year)
        if own_tags == "":
            assert np.isnan([dark, slow]).all()
        else:
            assert (dark, slow) == ("dark" in own_tags, "slow" in own_tags)


def test_beside_scores(folder: Path, world: World) -> None:
    enhancer = Guided(scores=str(folder / "scores.tsv"), fields=["year"])
    guided = guided_of(quiet_world("BPR", folder, enhancer))
    assert guided.attributes == ("pace", "wit", "year")
    alone = guided_of(quiet_world("BPR", folder, Guided(scores=str(folder / "scores.tsv"))))
    assert torch.equal(guided.guided[:, :2], alone.guided)
    years = {token: own for token, (own, _) in cells(folder).items()}
    tokens = world.dataset.field2id_token["item_id"]
    known = [float(years[token]) for token in tokens[1:] if years[token]]
    for number, token in enumerate(tokens[1:], start=1):
        z = 0.0 if not years[token] else (float(years[token]) - np.mean(known)) / np.std(known)
        assert float(guided.guided[number, 2]) == pytest.approx(z, abs=1e-5)


def test_without_any_scores(folder: Path) -> None:
    world = quiet_training(quiet_world("SASRec", folder, Guided(fields="tags,year", base="model")))
    assert guided_of(world).attributes == ("tags_dark", "tags_slow", "year")
    with pytest.raises(ConfigurationError, match="columns of the item file"):
        quiet_world("BPR", folder, Guided())


def test_users_need_no_scores_on_them(folder: Path, tmp_path: Path) -> None:
    users = tmp_path / "users.tsv"
    users.write_text("user_id\tpace\twit\nu1\t9\t0\n")
    options = {"scores": str(folder / "scores.tsv"), "fields": ["year"]}
    world = quiet_world("BPR", folder, Guided(**options, user_scores=str(users)))
    mean = guided_of(quiet_world("BPR", folder, Guided(**options)))
    number = world.dataset.token2id("user_id", "u1")
    start = guided_of(world).start[number]
    assert start[0] > 1.0 > -1.0 > start[1]
    assert float(start[2]) == pytest.approx(float(mean.start[number, 2]))


def test_a_column_that_is_not_there(folder: Path, world: World) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'tags'"):
        field_scores(world.dataset, ["tag"])


def test_a_column_that_says_nothing(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / NAME / f"{NAME}.item"
    file.parent.mkdir()
    file.write_text("item_id:token\tcode:token\ttags:token_seq\ni1\tx1\ta-b a_b\ni2\tx2\ta-b a_b\n")
    with pytest.raises(DataError, match="no word that two items share"):
        field_scores(file.parent, ["code"])
    assert field_scores(file.parent, ["tags"]).attributes == ("tags_a_b", "tags_a_b_1")


def test_names_that_are_taken() -> None:
    one = Scores(("a", "b"), ("year",), np.array([[1.0], [2.0]]))
    both = beside(one, Scores(("b", "c"), ("year",), np.array([[7.0], [8.0]])))
    assert both is not None
    assert both.attributes == ("year", "year_field")
    assert both.ids == ("a", "b", "c")
    np.testing.assert_array_equal(both.values, [[1, np.nan], [2, 7], [np.nan, 8]])

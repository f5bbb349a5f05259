"""Rows to predict from: a user's training history, by a loop over the files, and features."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from guided_world import guided_of, quiet_world, write_world

from burnish.enhancers.conformance.data import NAME
from burnish.enhancers.guided.guided import Guided

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    return folder


def in_time(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """(item, rating) of each user by time, from the file."""
    lines = (folder / NAME / f"{NAME}.inter").read_text().splitlines()[1:]
    found: dict[str, list[tuple[str, str]]] = {}
    for line in sorted(lines, key=lambda line: float(line.split("\t")[3])):
        user, item, rating, _ = line.split("\t")
        found.setdefault(user, []).append((item, rating))
    return found


@pytest.mark.parametrize("longest", [3, 6, 50])
@pytest.mark.parametrize("model", ["SASRec", "SHAN"])
def test_histories_are_all_but_the_last_two_items(model: str, longest: int, folder: Path) -> None:
    """RecBole leaves one item out for validation and one for the test."""
    world = quiet_world(
        model,
        folder,
        Guided(scores=str(folder / "scores.tsv")),
        options={"MAX_ITEM_LIST_LENGTH": longest, "long_sequence": longest},
    )
    rows, dataset = guided_of(world)._rows, world.dataset
    lengths = set()
    for token, pairs in in_time(folder).items():
        row = rows.row(int(dataset.token2id("user_id", token)), 5, CPU)
        assert row is not None
        expected = [str(item) for item, _ in pairs][:-2][-longest:]
        length = int(row["item_length"])
        lengths.add(length)
        assert row["item_id_list"].shape == (1, longest)
        assert list(dataset.id2token("item_id", row["item_id_list"][0, :length])) == expected
        assert (row["item_id_list"][0, length:] == 0).all()
        ratings = row["rating_list"][0, :length].tolist()
        assert ratings == pytest.approx([float(rating) for _, rating in pairs][:-2][-longest:])
        if model == "SHAN":
            assert row["Inverse_item_id_list"][0].tolist() == [
                *row["item_id_list"][0, length:].tolist(),
                *row["item_id_list"][0, :length].tolist(),
            ]
        assert row["user_id"].tolist() == [int(dataset.token2id("user_id", token))]
        assert row["item_id"].tolist() == [5]
    assert lengths == {longest} if longest < 50 else len(lengths) > 3  # cut off, and whole
    assert rows.row(0, 5, CPU) is None  # nobody


def test_features_are_those_of_user_and_item(folder: Path) -> None:
    world = quiet_world("DeepFM", folder, Guided(scores=str(folder / "scores.tsv")))
    rows, dataset = guided_of(world)._rows, world.dataset
    row = rows.row(3, 7, CPU)
    assert row is not None
    assert row["age"].tolist() == [int(dataset.user_feat["age"][3])]
    assert row["release_year"].tolist() == [int(dataset.item_feat["release_year"][7])]
    assert torch.equal(row["class"], dataset.item_feat["class"][7:8])
    assert set(row.interaction) == {
        *("user_id", "item_id", "age", "gender", "occupation", "release_year", "class")
    }

"""A graph written as RecBole's `.kg` and `.link`: every edge, every item, and the same interactions as without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from recbole.config import Config
from recbole.data import data_preparation
from recbole.utils import init_seed

from burnish.enhancers.paths.graph import ITEM, USER, Graph, Relation
from burnish.enhancers.paths.graph_options import GraphConfig
from burnish.enhancers.paths.knowledge_files import entity_names, write_knowledge_files
from burnish.enhancers.paths.sources import read_graph
from burnish.errors import ConfigurationError, DataError
from burnish.training.data import load_dataset

ITEMS, USERS = 12, 8


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Items of three genres, the last one of none; users of two ages."""
    here = tmp_path / "dataset" / "shop"
    here.mkdir(parents=True)
    rows = [f"u{user}\ti{item}" for user in range(USERS) for item in range(ITEMS) if (user + item) % 4 < 3]
    (here / "shop.inter").write_text("\n".join(["user_id:token\titem_id:token", *rows]) + "\n")
    items = [f"i{item}\tg{item % 3}" if item < ITEMS - 1 else f"i{item}\t" for item in range(ITEMS)]
    (here / "shop.item").write_text("\n".join(["item_id:token\tgenre:token", *items]) + "\n")
    users = [f"u{user}\t{user % 2}" for user in range(USERS)]
    (here / "shop.user").write_text("\n".join(["user_id:token\tage:token", *users]) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def splits(
    model: str, name: str, options: dict[str, Any] | None = None
) -> tuple[Any, list[set[tuple[str, str]]]]:
    """RecBole's training split, and the pairs of all three by their own ids."""
    config = Config(
        model=model, dataset=name, config_dict={"data_path": "dataset", "seed": 3, **(options or {})}
    )
    init_seed(config["seed"], config["reproducibility"])
    dataset = load_dataset(config)
    parts = data_preparation(config, dataset)
    pairs = []
    for part in parts:
        inter = part._dataset.inter_feat
        users = dataset.id2token(dataset.uid_field, inter[dataset.uid_field].numpy())
        items = dataset.id2token(dataset.iid_field, inter[dataset.iid_field].numpy())
        pairs.append(set(zip(users.tolist(), items.tolist(), strict=True)))
    return parts[0]._dataset, pairs


def test_a_knowledge_model_gets_the_same_split_and_every_edge(shop: Path) -> None:
    train, before = splits("BPR", "shop")
    graph = read_graph(train, GraphConfig())
    told = write_knowledge_files(graph, train, shop / "dataset" / "known")
    assert f"{ITEMS - 1} triples of 1 relation, {ITEMS} items linked" in told[0]
    assert any("rated, age" in line for line in told)
    assert any("1 item without an edge" in line for line in told)

    triples = pd.read_csv("dataset/known/known.kg", sep="\t")
    found = set(triples.itertuples(index=False, name=None))
    wanted = {(f"item:i{item}", "genre", f"genre:g{item % 3}") for item in range(ITEMS - 1)}
    assert found == wanted | {(f"item:i{ITEMS - 1}", "itself", f"item:i{ITEMS - 1}")}

    known, after = splits("KGAT", "known")
    assert after == before
    assert known.kg_feat is not None
    assert len(known.kg_feat) == ITEMS
    assert known.entity_num == ITEMS + 3 + 1


def test_files_of_its_own_graph_are_replaced_and_others_copied(shop: Path) -> None:
    here = shop / "dataset" / "shop"
    (here / "shop.kg").write_text("head_id:token\trelation_id:token\ttail_id:token\na\tr\tb\n")
    (here / "shop.link").write_text("item_id:token\tentity_id:token\ni0\ta\n")
    (here / "shopping.inter").write_text("another data set\n")
    train, _ = splits("BPR", "shop")
    write_knowledge_files(read_graph(train, GraphConfig()), train, shop / "dataset" / "known")
    names = sorted(file.name for file in (shop / "dataset" / "known").iterdir())
    assert names == ["known.inter", "known.item", "known.kg", "known.link", "known.user"]
    triples = pd.read_csv("dataset/known/known.kg", sep="\t")
    assert ("item:i0", "r") in {(head, name) for head, name, _ in triples.itertuples(index=False)}


def test_refusals_leave_nothing(shop: Path) -> None:
    train, _ = splits("BPR", "shop")
    graph = read_graph(train, GraphConfig())
    with pytest.raises(ConfigurationError, match="is there; give the name of a new folder"):
        write_knowledge_files(graph, train, shop)
    bare = read_graph(train, GraphConfig(item_columns=[]))
    with pytest.raises(DataError, match="no relation between items and other entities"):
        write_knowledge_files(bare, train, shop / "dataset" / "known")
    assert sorted(one.name for one in (shop / "dataset").iterdir()) == ["shop"]


def test_ids_and_names_with_separators_and_quotes_are_those_of_the_data(shop: Path) -> None:
    """Cells that `.inter` and `.item` quote are quoted in `.kg` and `.link`, too."""
    here = shop / "dataset" / "shop"
    for file in here.iterdir():
        text = file.read_text().replace("\t", ",").replace("i1,", '"i,1",').replace("g0", '"""so, so"""')
        file.write_text(text.replace("i1\n", '"i,1"\n'))
    options = {"field_separator": ","}
    train, before = splits("BPR", "shop", options)
    assert any(item == "i,1" for _, item in before[0])
    write_knowledge_files(read_graph(train, GraphConfig()), train, shop / "dataset" / "known")
    triples = pd.read_csv("dataset/known/known.kg")
    found = set(triples.itertuples(index=False, name=None))
    assert ("item:i,1", "genre", "genre:g1") in found
    assert any(tail == 'genre:"so, so"' for _, _, tail in found)
    known, after = splits("KGAT", "known", options)
    assert after == before
    assert known.entity_num == ITEMS + 3 + 1


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        (["a", "b"], ["genre:a", "genre:b"]),
        (["a", "a"], ["genre:0", "genre:1"]),
        (["a\tb", "c"], ["genre:0", "genre:1"]),
        (['"a', "c"], ['genre:"a', "genre:c"]),
        ([" a", "c"], ["genre:0", "genre:1"]),
        (["", "c"], ["genre:0", "genre:1"]),
        (["a,b", "c"], ["genre:a,b", "genre:c"]),
    ],
)
def test_names_tell_nodes_apart_and_fit_a_cell(labels: list[str], wanted: list[str]) -> None:
    edges = torch.tensor([1]), torch.tensor([0])
    counts = {USER: 3, ITEM: 3, "genre": 2}
    graph = Graph(counts, [Relation.of("genre", ITEM, "genre", *edges)], {"genre": labels})
    assert entity_names(graph, "genre") == wanted

"""Digests of the files that a graph is made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from burnish.enhancers.paths.graph_digest import graph_digest
from burnish.enhancers.paths.graph_options import GraphConfig

Text = Callable[..., str]


@pytest.fixture
def shop(world: Any, table: Text) -> Any:
    """The data set with every kind of file."""
    world.write(
        kg=table("head_id:token relation_id:token tail_id:token", "e1 by p1", "e2 by p1"),
        link=table("item_id:token entity_id:token", "i1 e1", "i2 e2"),
        net=table("source_id:token target_id:token", "u1 u2"),
        item=table("item_id:token title:token genre:token price:float", "i1 One drama 3", "i2 Two comedy 4"),
        user=table("user_id:token job:token", "u1 cook", "u2 clerk"),
    )
    (world.folder / "tags.csv").write_text("item,tag\ni1,old\n")
    (world.folder / "names.tsv").write_text("entity\tname\np1\tAnn\n")
    return world


TAGS = {
    **{"file": "tags.csv", "source": "item", "target": "tag"},
    **{"source_type": "item", "target_type": "tag", "name": "tagged"},
}


def digest(world: Any, folder: Path | None = None, **options: Any) -> str | None:
    asked = {"edges": [TAGS], **options}
    return graph_digest((folder or world.folder) / "shop", GraphConfig(**asked), {})


CHANGES = {
    "kg": ("shop.kg", "e2\tby", "e1\tby"),
    "link": ("shop.link", "i2\te2", "i3\te2"),
    "net": ("shop.net", "u1\tu2", "u2\tu1"),
    "item": ("shop.item", "comedy", "drama"),
    "user": ("shop.user", "clerk", "cook"),
    "edges": ("tags.csv", "old", "new"),
}


def change(world: Any, name: str, before: str, after: str) -> None:
    path = world.folder / name
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


@pytest.mark.parametrize("what", CHANGES)
def test_what_edges_come_from_counts(shop: Any, what: str) -> None:
    first = digest(shop)
    assert first is not None
    assert digest(shop) == first
    change(shop, *CHANGES[what])
    changed = digest(shop)
    assert changed not in (first, None)
    (shop.folder / CHANGES[what][0]).unlink()
    assert digest(shop) not in (first, changed, None)


def test_what_edges_do_not_come_from_does_not_count(shop: Any) -> None:
    first = digest(shop, entity_names="names.tsv", titles="title")
    change(shop, "shop.item", "One", "Eins")
    change(shop, "shop.item", "\t4", "\t5")
    change(shop, "names.tsv", "Ann", "Anna")
    for part in ("train", "valid", "test"):
        path = shop.folder / f"shop.{part}.inter"
        path.write_text(f"{path.read_text()}u1\ti9\n")
    assert digest(shop, entity_names="names.tsv", titles="title") == first


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"kg": False}, ("kg", "link")),
        ({"net": False}, ("net",)),
        ({"item_columns": []}, ("item",)),
        ({"user_columns": []}, ("user",)),
        ({"edges": []}, ("edges",)),
    ],
)
def test_files_that_options_leave_out(shop: Any, options: dict[str, Any], what: tuple[str, ...]) -> None:
    first = digest(shop, **options)
    for one in what:
        change(shop, *CHANGES[one])
    assert digest(shop, **options) == first
    change(shop, *CHANGES["kg" if "net" in what else "net"])
    assert digest(shop, **options) != first


def test_columns_that_are_asked_for(shop: Any) -> None:
    asked = {"item_columns": [{"column": "price", "step": 1}]}
    first = digest(shop, **asked)
    change(shop, *CHANGES["item"])
    assert digest(shop, **asked) == first
    change(shop, "shop.item", "\t4", "\t5")
    assert digest(shop, **asked) != first


def test_content_counts_and_not_where_and_how_it_lies(shop: Any, tmp_path: Path) -> None:
    first = digest(shop)
    other = tmp_path / "elsewhere"
    other.mkdir()
    for path in shop.folder.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    assert digest(shop, other) == first
    kg = (shop.folder / "shop.kg").read_bytes()
    (shop.folder / "shop.kg").unlink()
    shop.write(kg__gz=kg)
    assert digest(shop) == first
    (shop.folder / "shop.kg.gz").write_bytes(b"not packed")
    assert digest(shop) not in (first, None)  # whoever reads it says what is wrong


def test_no_files(world: Any) -> None:
    assert graph_digest(world.folder / "shop", GraphConfig(), {}) is None
    assert graph_digest(world.folder / "nowhere" / "shop", GraphConfig(), {}) is None
    world.write(item="item_id:token\n")
    assert graph_digest(world.folder / "shop", GraphConfig(), {}) is None

"""The card of a data set tells what its tables called their columns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from burnish.files.data_names import DataNames, names_beside


def card(folder: Path, content: object) -> Path:
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "shop.card.json").write_text(text, encoding="utf-8")
    return folder


def test_names_of_a_card_and_of_fields(tmp_path: Path) -> None:
    assert names_beside(tmp_path, "shop") == DataNames()
    card(tmp_path, {"names": {"user": "customer", "item": "sku"}})
    names = names_beside(tmp_path, "shop")
    assert (names.user, names.item) == ("customer", "sku")
    assert names.item_columns == ("item_id", "sku")
    other = names_beside(tmp_path / "none", "shop", "who", "what")
    assert (other.user, other.user_columns) == ("who", ("who", "user_id"))


@pytest.mark.parametrize(
    "content", ["{", "[]", "3", {"names": 3}, {"names": {"user": 3, "item": " "}}, {}, "[" * 9999]
)
def test_a_card_that_tells_nothing(tmp_path: Path, content: object) -> None:
    assert names_beside(card(tmp_path, content), "shop") == DataNames()


@pytest.mark.parametrize(
    ("user", "item", "others", "heads"),
    [
        ("customer", "sku", ("score",), {"user": "customer", "item": "sku"}),
        ("user", "sku", (), {"item": "sku"}),
        ("user", "item", (), {}),
        ("score", "sku", ("score",), {}),  # a column of that name is there
        ("item", "user", (), {}),
        ("same", "same", (), {}),
    ],
)
def test_heads(user: str, item: str, others: tuple[str, ...], heads: dict[str, str]) -> None:
    assert DataNames(user, item).heads(("user", "item", *others)) == heads

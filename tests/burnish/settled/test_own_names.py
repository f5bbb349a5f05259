"""Columns named as the user's tables called them: options of RecBole, titles, texts, fields, graphs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

import burnish
from burnish.enhancers.guided.item_fields import field_scores
from burnish.enhancers.guided.options import GuidedConfig
from burnish.enhancers.guided.texts import item_texts, title_field
from burnish.enhancers.paths.graph_options import GraphConfig
from burnish.enhancers.paths.phrases import Wording
from burnish.enhancers.paths.sources import read_graph
from burnish.enhancers.shapley.value_history import value_history
from burnish.enhancers.zoo import find_backbone
from burnish.errors import BurnishError, ConfigurationError, UnknownNameError
from burnish.files.data_names import OwnColumns, columns_beside, usual_title
from burnish.settled.own_names import _LISTS
from burnish.strict import validated
from burnish.trained.titles import read_titles
from burnish.training.data import load_dataset
from burnish.training.request import make_config

ITEMS = pd.DataFrame(
    {
        "Artikel Nr.": [f"{n:03d}" for n in range(8)],
        "Name (de)": [f"rote Wolle {n}" for n in range(8)],
        "Kategorie, neu": ["tea|black", "tea|green"] * 4,
        "Preis €": [1.5 * n for n in range(8)],
        "Länge # cm": [0.5 * n for n in range(8)],
        "rating": [n % 3 for n in range(8)],
    }
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rows = [(f"{u:02d}", f"{(u + k) % 8:03d}", 1 + k, 10 * k) for u in range(8) for k in range(5)]
    orders = pd.DataFrame(rows, columns=["Kunde #", "Artikel Nr.", "Sterne", "Wann?"])
    burnish.data.from_frame(
        orders,
        user="Kunde #",
        item="Artikel Nr.",
        rating="Sterne",
        time="Wann?",
        items=ITEMS,
        out=folder / "shop",
    )
    return folder


def config_of(data: Path, model: str = "BPR", **options: Any) -> Any:
    return make_config(find_backbone(model), "shop", {}, {"data_path": str(data), **options})


def test_the_mapping_of_a_card(data: Path) -> None:
    own = columns_beside(data / "shop", "shop")
    assert own.title == "Name_(de)"
    assert own.written("Preis €") == own.written("Preis_€") == own.written(" Preis €") == "Preis_€"
    assert own.written("rating", file="item") == "item_rating"
    assert own.written("rating", file="inter") == "rating"
    assert own.written("Preis") == "Preis"
    assert own.own("Name_(de)", "item") == "Name (de)"
    assert OwnColumns().written("x") == "x"
    assert columns_beside(data, "nothing") == OwnColumns()


@pytest.mark.parametrize(
    ("names", "title"),
    [
        (["Kategorie", "Name (de)"], "Name (de)"),
        (["author_name", "Titel"], "Titel"),
        (["author_name", "genre"], None),
        (["name_en", "class"], "name_en"),
        (["class", "movie_title", "title"], "movie_title"),
        (["Título"], "Título"),
        (["what_title"], "what_title"),
        ([], None),
    ],
)
def test_usual_titles(names: list[str], title: str | None) -> None:
    assert usual_title(names) == title


def test_options_of_recbole(data: Path) -> None:
    config = config_of(
        data,
        USER_ID_FIELD="Kunde #",
        ITEM_ID_FIELD="Artikel Nr.",
        load_col={
            "inter": ["Kunde #", "Artikel Nr.", "Sterne"],
            "item": ["Artikel Nr.", "Preis €", "rating"],
        },
        val_interval={"Sterne": "[2,inf)"},
        normalize_field=["Preis €"],
    )
    assert config["USER_ID_FIELD"] == "user_id"
    assert config["load_col"] == {
        "inter": ["user_id", "item_id", "rating"],
        "item": ["item_id", "Preis_€", "item_rating"],
    }
    assert config["val_interval"] == {"rating": "[2,inf)"}
    assert config["normalize_field"] == ["Preis_€"]
    with pytest.raises(ConfigurationError, match="Did you mean 'Preis €'"):
        config_of(data, load_col={"inter": ["user_id", "item_id"], "item": ["item_id", "Preis"]})


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        (
            "threshold",
            {"Sternchen": 3},
            "column 'Sternchen'.*mean 'Sterne'.*Known: Artikel Nr., Kunde #, Sterne",
        ),
        (
            "normalize_field",
            ["Preis"],
            r"column 'Preis' .*mean 'Preis €'.*Known: .*Preis €, Sterne, Wann\?, rating",
        ),
        ("normalize_field", ["Name (de)"], r"'Name \(de\)' is not a column of numbers"),
        ("threshold", {"Länge # cm": 3}, "Known: Artikel Nr., Kunde #, Sterne"),
        (
            "normalize_field",
            ["Kategorie, neu"],
            r"'Kategorie, neu' of shop\.item is not read; load_col\.item reads 'Art",
        ),
        ("val_interval", {"Stern": "[2,inf)"}, "Did you mean 'Sterne'"),
        ("unused_col", {"item": ["Preis"]}, "Known: Artikel Nr., .*Preis €, rating"),
    ],
)
def test_what_is_wrong_is_told_by_own_names(data: Path, option: str, value: Any, says: str) -> None:
    items = ["Artikel Nr.", "Name (de)", "Preis €", "rating"]
    columns = {"inter": ["Kunde #", "Artikel Nr.", "Sterne", "Wann?"], "item": items}
    with pytest.raises(ConfigurationError, match=says):
        load_dataset(config_of(data, load_col=columns, **{option: value}))


def test_every_option_of_recbole_that_lists_columns(data: Path) -> None:
    from burnish.settled.own_names import name_columns

    mappings = ("val_interval", "threshold")
    given = {name: {"Preis €": 1} if name in mappings else ["Preis €"] for name in _LISTS}
    config = SimpleNamespace(
        dataset="shop", internal_config_dict={"data_path": str(data)}, external_config_dict=given
    )
    name_columns(config)
    for name, value in given.items():
        assert list(value) == ["Preis_€"], name


def test_titles_for_every_verb(data: Path) -> None:
    config = config_of(data)
    found = read_titles(config)
    assert found is not None
    assert found[0] == "Name_(de)"
    assert found == read_titles(config, "Name (de)") == read_titles(config, "Name_(de)")
    with pytest.raises(UnknownNameError, match="Did you mean 'Name \\(de\\)'"):
        read_titles(config, "Name (d)")
    for source in (config, data / "shop"):
        assert title_field(item_texts(source)) == "Name_(de)"


def test_fields_of_guided_have_the_names_that_were_asked_for(data: Path) -> None:
    scores = field_scores(data / "shop", ["Preis €", "Kategorie, neu"])
    assert scores.attributes == (
        "Preis €",
        "Kategorie, neu_black",
        "Kategorie, neu_green",
        "Kategorie, neu_tea",
    )
    assert GuidedConfig(fields='"Kategorie, neu",Preis €').fields == ("Kategorie, neu", "Preis €")  # type: ignore[arg-type]
    assert field_scores(data / "shop", ["Preis_€"]).attributes == ("Preis_€",)
    with pytest.raises(UnknownNameError, match="Did you mean 'Preis €'"):
        field_scores(data / "shop", ["Preis"])
    with pytest.raises(ConfigurationError, match="each once"):
        item_texts(data / "shop", ["Preis €", "Preis_€"])


def test_histories_to_value_are_asked_for_by_own_names(data: Path) -> None:
    config = config_of(data, "MultiVAE", topk=[5], valid_metric="MRR@5")
    train = load_dataset(config).build()[0]
    model = find_backbone("MultiVAE")(config, train)
    with pytest.raises(UnknownNameError, match=r"^Kunde # '3' is not known\. Did you mean '03'"):
        value_history(model, train, 3)
    with pytest.raises(UnknownNameError, match=r"^Artikel Nr\. '99' is not known"):
        value_history(model, train, "03", "99")


def graph_of(data: Path, **options: Any) -> Any:
    dataset = load_dataset(config_of(data, topk=[5], valid_metric="MRR@5"))
    train = dataset.build()[0]
    return read_graph(train, validated(GraphConfig, options, "graph", kind="option"))


def test_graphs(data: Path) -> None:
    graph = graph_of(data)
    assert [one.name for one in graph.relations] == ["rated", "Kategorie_neu"]
    assert "rote Wolle 3" in graph.labels["item"]
    asked = graph_of(
        data,
        item_columns=["Kategorie, neu", {"column": "Preis €", "step": 5}, "Name (de)"],
        without=["Name (de)"],
        names={"Kategorie, neu": "kind"},
        titles="Name (de)",
    )
    assert [one.name for one in asked.relations] == ["rated", "kind", "Preis_€"]
    with pytest.raises(UnknownNameError, match="Did you mean 'Preis €'"):
        graph_of(data, item_columns=[{"column": "Preis", "step": 5}])
    with pytest.raises(UnknownNameError, match="Did you mean 'Name \\(de\\)'"):
        graph_of(data, titles="Name (d)")
    assert (
        "Preis_€" in validated(Wording, {"phrases": {"Preis €": "cost {entity}"}}, "w", kind="option").phrases
    )


def test_digests_follow_the_columns(data: Path) -> None:
    from burnish.enhancers.paths.graph_digest import _of_columns
    from burnish.enhancers.paths.graph_options import Column

    path = data / "shop" / "shop.item"
    digests = {_of_columns(path, "item", (Column(column=name),), {}) for name in ("Preis €", "Preis_€")}
    assert len(digests) == 1
    assert digests != {_of_columns(path, "item", (Column(column="Kategorie, neu"),), {})}


def test_the_page_names_columns_of_titles() -> None:
    page = (Path(__file__).parents[3] / "docs" / "recommend.md").read_text(encoding="utf-8")
    told = page.partition("one with a usual name:")[2].partition("`--title-field`")[0].split("`")[1::2]
    *found, other = told
    assert len(found) >= 8
    for name in found:
        assert usual_title(["genre", name]) == name
    assert other == "author_name"
    assert usual_title([other]) is None


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("USER_ID_FIELD: Kunde #", "Kunde #"),
        ("load_col: {inter: [\n  Kunde #\n  ]}", "Kunde #"),
        ("enhancers:\n  guided:\n    fields:\n    - Länge # cm", "Länge # cm"),
    ],
)
def test_names_that_a_file_of_options_cuts(data: Path, text: str, whole: str, tmp_path: Path) -> None:
    """`#` after a blank begins a comment in YAML."""
    says = f"In YAML a # after a blank begins a comment: write '{whole}' in quotes"
    (tmp_path / "cut.yaml").write_text(f"data_path: {data}\n{text}\n", encoding="utf-8")
    with pytest.raises(BurnishError, match=says):
        burnish.run("BPR", "shop", config_files=[str(tmp_path / "cut.yaml")])

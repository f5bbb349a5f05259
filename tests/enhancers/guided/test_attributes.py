"""Schemas: the shipped ones, files to edit, and what is said about a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from burnish.enhancers.guided.attributes import (
    load_schema,
    make_schema,
    shipped_domains,
    shipped_text,
    write_schema,
)
from burnish.errors import ConfigurationError, UnknownNameError

SMALL = {
    "domain": "toys",
    "instruction": "Score.",
    "attributes": {"fun": "how much fun", "noise": "how loud"},
}


def test_there_is_a_schema_for_every_promised_domain() -> None:
    assert shipped_domains() == (
        "beauty",
        "books",
        "clothing",
        "films",
        "games",
        "music",
        "restaurants",
        "software",
    )


@pytest.mark.parametrize("domain", shipped_domains())
def test_a_shipped_schema_is_complete(domain: str) -> None:
    schema = load_schema(domain)
    assert schema.domain == domain
    assert schema.scale == (0, 9)
    assert 8 <= len(schema.names) <= 16
    assert tuple(schema.contrasts) == schema.names
    meanings = [*schema.attributes.values(), *(end for ends in schema.contrasts.values() for end in ends)]
    assert len(set(meanings)) == len(meanings)


def test_a_written_schema_is_the_same_schema(tmp_path: Path) -> None:
    for domain in shipped_domains():
        path = tmp_path / "new" / f"{domain}.yaml"
        write_schema(load_schema(domain), path)
        assert load_schema(path) == load_schema(domain)
        with pytest.raises(ConfigurationError, match="exists already"):
            write_schema(load_schema(domain), path)
        write_schema(load_schema(domain), path, overwrite=True)
    assert len(list((tmp_path / "new").iterdir())) == len(shipped_domains())


def test_a_shipped_file_is_written_with_its_comments(tmp_path: Path) -> None:
    write_schema(shipped_text("films"), tmp_path / "films.yaml")
    assert load_schema(tmp_path / "films.yaml") == load_schema("films")
    assert "# integers;" in (tmp_path / "films.yaml").read_text()
    with pytest.raises(UnknownNameError, match="Did you mean 'films'"):
        shipped_text("film")
    with pytest.raises(ConfigurationError, match="is a folder"):
        write_schema(load_schema("films"), tmp_path)


def test_the_fingerprint_is_of_what_a_judge_is_asked() -> None:
    plain = make_schema(SMALL)
    assert plain.fingerprint() == make_schema(dict(reversed(SMALL.items()))).fingerprint()
    assert plain.fingerprint() == make_schema({**SMALL, "contrasts": {"fun": ["dull", "fun"]}}).fingerprint()
    for change in (
        {"domain": "games"},
        {"scale": [1, 9]},
        {"instruction": "Score!"},
        {"attributes": {"noise": "how loud", "fun": "how much fun"}},
        {"attributes": {"fun": "how much fun!", "noise": "how loud"}},
    ):
        assert make_schema({**SMALL, **change}).fingerprint() != plain.fingerprint()


def test_the_fingerprint_of_films_is_that_of_the_shipped_scores() -> None:
    """Answers in ledgers are found by it: it may only change together with what is asked."""
    assert load_schema("films").fingerprint() == "ee8cb01102e9a097"


def test_some_attributes_keep_their_contrasts() -> None:
    some = load_schema("films").only(["humor", "violence"])
    assert some.names == ("humor", "violence")
    assert tuple(some.contrasts) == ("humor", "violence")
    assert "contrasts" not in make_schema(SMALL).to_yaml()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"contrasts": {"funn": ["a", "b"]}}, "contrast of 'funn', which is not an attribute"),
        ({"contrasts": {"fun": ["a", " "]}}, "needs words at both ends"),
        ({"contrasts": {"fun": ["a"]}}, "contrasts.fun"),
        ({"scale": [9, 0]}, "the lowest score 9 must be below"),
        ({"attributes": {"Fun": "x"}}, "must be lower-case"),
        ({"attributes": {"class": "x"}}, "must be lower-case"),
        ({"attributes": {"item_id": "x"}}, "name of the column of ids"),
        ({"attributes": {"fun": " "}}, "has no description"),
        ({"attributes": {}}, "attributes"),
        ({"instruction": ""}, "instruction"),
    ],
)
def test_what_is_wrong_with_a_schema_is_said(change: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make_schema({**SMALL, **change})


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"field 'atributes' is not known. Did you mean 'attributes'"):
        make_schema({"atributes": {}})
    with pytest.raises(UnknownNameError, match="Did you mean 'films'"):
        load_schema("film")
    with pytest.raises(UnknownNameError, match="Did you mean 'humor'"):
        load_schema("films").only(["humour"])
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_schema("nowhere/films.yaml")

"""YAML files: numbers as RecBole reads them, and what is refused, with the file, the key and the line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from burnish.errors import ConfigurationError
from burnish.files.yamls import contains_itself, read_yaml


def read(folder: Path, text: str) -> dict[str, Any]:
    file = folder / "a.yaml"
    file.write_text(text, encoding="utf-8")
    return read_yaml(file)


@pytest.mark.parametrize("text", ["", "\n", "# nothing", "---\n", "~\n"])
def test_nothing(text: str, tmp_path: Path) -> None:
    assert read(tmp_path, text) == {}


def test_numbers(tmp_path: Path) -> None:
    assert read(tmp_path, "a: 1e-3\nb: 1.5E+2\nc: .5e1\n") == {"a": 1e-3, "b": 150.0, "c": 5.0}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1: 2\n", "the name 1 of an option is a int, not a text"),
        ("on: 2\n", "the name True of an option is a bool.*in quotes"),
        ("~: 2\n", "the name None"),
        ("a: 1\nb: 2\na: 3\n", r"key 'a' stands there twice, in line 1 and again[\s\S]*line 3"),
        ("b: {a: 1, a: 1}\n", r"key 'a' stands there twice, in line 1"),
        ("b:\n- {a: 1,\n   a: 2}\n", r"key 'a' stands there twice, in line 2[\s\S]*line 3"),
        ("a: &a {b: *a}\n", "option 'a' contains itself"),
        ("a: &a [1, [*a]]\n", "option 'a' contains itself"),
        ("a: &a\n  b: &b {c: *a}\nd: *b\n", "option 'a' contains itself"),
        ("[1]\n", "holds a list"),
        ("? [a]\n: 1\n", "not valid YAML"),
    ],
)
def test_what_is_refused(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=rf"config file '.*a\.yaml'.*{says}"):
        read(tmp_path, text)


@pytest.mark.parametrize("text", ["a: [Kunde #, sku]\n", "a: 1 # one\nb: {c: [Preis #]}\n"])
def test_a_sign_that_begins_a_comment_is_told(text: str, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"not valid YAML[\s\S]*# after a blank begins a comment.*quotes"
    ):
        read(tmp_path, text)
    assert read(tmp_path, "a: ['Kunde #', sku] # both\n")["a"] == ["Kunde #", "sku"]


def test_errors_that_have_nothing_to_do_with_comments(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as error:
        read(tmp_path, "a: [1, 2 # two\nb: 3 # three\n")
    assert "comment" not in str(error.value)


def test_merged_keys_are_no_repetition(tmp_path: Path) -> None:
    text = "a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  x: 3\nc: *a\n'1': 1\n1.0: 2\n"
    with pytest.raises(ConfigurationError, match=r"the name 1\.0"):
        read(tmp_path, text)
    assert read(tmp_path, text.replace("1.0: 2\n", ""))["b"] == {"x": 3, "y": 2}


def test_values_within_values_are_looked_at_once() -> None:
    """As many parts as 2^200 paths lead to."""
    value: list[Any] = ["x"]
    for _ in range(200):
        value = [value, value]
    assert not contains_itself(value)
    value[0][0][0].append({"a": (value,)})
    assert contains_itself(value)

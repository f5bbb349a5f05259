"""JSON and YAML that are nested, or multiplied by aliases, without end: refused with a reason, quickly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from burnish.cli.parse_options import parse_value
from burnish.errors import ConfigurationError, DataError
from burnish.files.jsons import DEEPEST, parse_json
from burnish.files.portable import read_file
from burnish.files.whole import read_json
from burnish.files.yamls import parse_yaml, read_yaml


def nested(levels: int, opening: str = "[", closing: str = "]") -> str:
    return opening * levels + "1" + closing * levels


DEEP = [
    nested(6000),
    "[" * 6000,
    nested(100_000),
    nested(DEEPEST + 1),
    nested(500, '{"a": ', "}"),
    nested(200, '[{"a": ', "}]"),
]


@pytest.mark.parametrize("text", DEEP, ids=len)
def test_nested_json(text: str, tmp_path: Path) -> None:
    for given in (text, text.encode()):
        with pytest.raises(ValueError, match=r"nested (without end|more than 100 deep)|Expecting"):
            parse_json(given)
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"run\.json is damaged \(.*; mend it"):
        read_json(path, "mend it")


def test_nested_description_of_tensors(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    save_file({}, str(path), metadata={"burnish": nested(6000)})
    with pytest.raises(DataError, match=r"model\.safetensors is damaged: its description .*nested"):
        read_file(path, "weights")


@pytest.mark.parametrize("value", [1, [], {"a": [1]}, [[1]] * 5000, json.loads(nested(DEEPEST))])
def test_what_is_not_deep_is_read(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value
    assert parse_yaml(json.dumps(value)) == value


def powers(levels: int) -> str:
    """Each line stands for ten times the values of the one before."""
    first = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    return first + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, levels))


MAPPED = "a0: &a0 {x: 1, y: 2}\n" + "".join(
    f"a{i}: &a{i} {{x: *a{i - 1}, y: *a{i - 1}}}\n" for i in range(1, 40)
)
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 300))
ENDLESS = {
    "powers": (powers(9), r"option 'a4' stands for 1\.11e\+05 values through its aliases"),
    "powers in mappings": (MAPPED, "option 'a[0-9]+' stands for .* values"),
    "in itself": ("a: &a {b: *a}\n", "option 'a' contains itself"),
    "in itself, a list": ("a: &a [1, *a]\n", "option 'a' contains itself"),
    "the whole in itself": ("&a {b: 1, c: *a}\n", "contains itself"),
    "deep": (f"a: {nested(150)}\n", "option 'a' is nested more than 100 deep"),
    "deeper": (f"a: {nested(6000)}\n", "nested without end"),
    "a chain of aliases": (CHAIN, "option 'a[0-9]+' is nested more than 100 deep"),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDLESS)
def test_endless_yaml(case: str, tmp_path: Path) -> None:
    text, message = ENDLESS[case]
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=rf"c\.yaml' is not valid YAML: .*{message}"):
        read_yaml(path)


def test_merges_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some versions of PyYAML repeat what is merged twice; so two of these are enough in any case."""
    text = "".join(f"m{i}: &m{i} {{{', '.join(f'k{i}{j}: 1' for j in range(10))}}}\n" for i in range(2))
    text += "both: {<<: [*m0, *m1]}\n"
    assert len(parse_yaml(text)["both"]) == 20
    monkeypatch.setattr("burnish.files.yamls._MOST", 15)
    with pytest.raises(yaml.YAMLError, match=r"its merges \(<<\) stand for more than 15 values"):
        parse_yaml(text)


def test_aliases_that_people_write_are_read() -> None:
    text = "one: &one {lr: 0.1, k: [5, 10]}\ntwo: *one\nthree: {<<: *one, lr: 0.2}\n"
    one = {"lr": 0.1, "k": [5, 10]}
    assert parse_yaml(text) == {"one": one, "two": one, "three": {**one, "lr": 0.2}}
    assert len(parse_yaml("ids: [" + ", ".join(map(str, range(150_000))) + "]")["ids"]) == 150_000
    with pytest.raises(yaml.YAMLError):
        parse_yaml("a: *unknown")


@pytest.mark.parametrize("text", [nested(6000), "&a [*a]", "{x: &a {b: *a}}"])
def test_words_of_the_command_line_stay_words(text: str) -> None:
    assert parse_value(text) == text

"""Command-line words become typed values, and nothing is ever evaluated."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.cli.parse_options import merge_enhancers, parse_options, parse_value, split_options
from burnish.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-5", -5),
        ("010", 10),
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        (".5", 0.5),
        ("2.", 2.0),
        ("true", True),
        ("False", False),
        ("~", None),
        ("None", None),
        ("null", None),
        ("BPR", "BPR"),
        ("ml-100k", "ml-100k"),
        ("NDCG@10", "NDCG@10"),
        ("[5,10]", [5, 10]),
        ("[NDCG, Recall]", ["NDCG", "Recall"]),
        ("{mode: full, split: {RS: [0.8, 0.1, 0.1]}}", {"mode": "full", "split": {"RS": [0.8, 0.1, 0.1]}}),
        ("'5'", "5"),
        # there are no comments on a command line
        ("Kunde #", "Kunde #"),
        ("5 # five", "5 # five"),
        ("[Kategorie, Kunde #]", ["Kategorie", "Kunde #"]),
        ("{inter: [Kunde #, 'a # b']}", {"inter": ["Kunde #", "a # b"]}),
        ("&a b", "&a b"),
        ("--- x", "--- x"),
        # what is no YAML, or means something else in it, stays what was typed
        ("[3,inf)", "[3,inf)"),
        ("yes", "yes"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("a: b", "a: b"),
        ("- a", "- a"),
        ("#", "#"),
        (" ", " "),
        ("\t", "\t"),
        ("", ""),
        ("*x", "*x"),
        ("%", "%"),
    ],
)
def test_values(text: str, value: Any) -> None:
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


def test_infinity_and_nan() -> None:
    assert parse_value(".inf") == math.inf
    assert math.isnan(parse_value(".nan"))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').mkdir('{folder}')",
        "!!python/object/apply:os.mkdir ['{folder}']",
        "[!!python/object/apply:os.mkdir ['{folder}']]",
        "{{a: !!python/object/apply:os.mkdir ['{folder}']}}",
    ],
)
def test_code_stays_text(text: str, tmp_path: Path) -> None:
    trap = tmp_path / "made"
    code = text.format(folder=trap)
    assert parse_value(code) == code
    assert not trap.exists()


@given(st.integers() | st.floats(allow_nan=False) | st.booleans())
def test_numbers_survive_the_round_trip(value: int | float | bool) -> None:
    text = {math.inf: ".inf", -math.inf: "-.inf"}.get(value, str(value))
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


@given(st.text())
def test_any_text_gives_a_value(text: str) -> None:
    """No text breaks the reader, and without brackets or quotes there is only a scalar."""
    value = parse_value(text)
    if not isinstance(value, str):
        assert value is None or isinstance(value, (bool, int, float)) or text.strip()[0] in "[{"


def test_both_ways_of_writing_options() -> None:
    words = ["--epochs", "5", "--learning_rate=1e-3", "--weight", "-2", "--field_separator=", "--a=b=c"]
    assert split_options(words) == [
        ("epochs", "5"),
        ("learning_rate", "1e-3"),
        ("weight", "-2"),
        ("field_separator", ""),
        ("a", "b=c"),
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--epochs"], "--epochs has no value"),
        (["--epochs", "--seed", "1"], "--epochs has no value"),
        (["5"], "'5' belongs to no option"),
        (["--epochs=5", "6"], "'6' belongs to no option"),
        (["-x", "5"], "'-x' belongs to no option"),
        (["--=5"], "no option name"),
        (["--epochs=5", "--epochs", "6"], "given twice, with 5 and with 6"),
        (["--eval_args.mode=full"], "only --enhancers.NAME.OPTION is nested"),
        (["--enhancers.rvrec=1"], "only --enhancers.NAME.OPTION is nested"),
        (["--enhancers.rvrec.a.b=1"], "only --enhancers.NAME.OPTION is nested"),
        (["--enhancers..weight=1"], "only --enhancers.NAME.OPTION is nested"),
    ],
)
def test_misuse_is_named(words: list[str], says: str) -> None:
    with pytest.raises(ConfigurationError, match="^.*" + says.replace(".", r"\.").replace("-", r"\-")):
        parse_options(words)


def test_options_of_recbole_and_of_enhancers() -> None:
    options, enhancers = parse_options(
        ["--learning-rate", "1e-3", "--epochs=5", "--epochs", "5", "--enhancers.rvrec.weight=0.2"]
    )
    assert options == {"learning_rate": 0.001, "epochs": 5}
    assert enhancers == {"rvrec": {"weight": 0.2}}


@pytest.mark.parametrize(
    ("block", "chosen", "options", "merged"),
    [
        (None, None, {}, {}),
        (None, "rvrec, euclid2d", {}, {"rvrec": None, "euclid2d": None}),
        ({"rvrec": {"weight": 0.1}}, None, {}, {"rvrec": {"weight": 0.1}}),
        ({"rvrec": {"weight": 0.1}, "guided": None}, "rvrec", {}, {"rvrec": {"weight": 0.1}}),
        ({"rvrec": {"weight": 0.1}}, "none", {}, {}),
        ({"rvrec": {"weight": 0.1}}, "", {}, {}),
        ({"rvrec": False}, "rvrec", {}, {"rvrec": None}),
        ({"rvrec": False}, None, {}, {"rvrec": False}),
        (
            {"rvrec": {"weight": 0.1, "temperature": 2.0}},
            None,
            {"rvrec": {"weight": 0.2}},
            {"rvrec": {"weight": 0.2, "temperature": 2.0}},
        ),
        (None, None, {"rvrec": {"weight": 0.2}}, {"rvrec": {"weight": 0.2}}),
        (None, "euclid2d", {"rvrec": {"weight": 0.2}}, {"euclid2d": None, "rvrec": {"weight": 0.2}}),
    ],
)
def test_enhancers_are_merged(
    block: dict[str, Any] | None, chosen: str | None, options: dict[str, Any], merged: dict[str, Any]
) -> None:
    before = repr(block)
    assert merge_enhancers(block, chosen, options) == merged
    assert repr(block) == before, "the block of the file was changed"


def test_an_enhancer_named_twice() -> None:
    with pytest.raises(ConfigurationError, match="'rvrec' twice"):
        merge_enhancers(None, "rvrec,rvrec", {})

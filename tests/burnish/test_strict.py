"""Strict configuration: which part of what source is wrong, with the nearest name and the cure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, field_validator

from burnish.checks import finite_number, whole_number
from burnish.errors import ConfigurationError, UnknownNameError
from burnish.strict import Strict, model_at, validated


class Inner(Strict):
    width: int = Field(1, ge=1)
    token: str = ""


class Outer(Strict):
    name: str
    one: Inner = Inner()
    many: tuple[Inner, ...] = ()
    named: Mapping[str, Inner | int] = Field(default_factory=dict)
    pair: tuple[int, Inner] | None = None

    @field_validator("name")
    @classmethod
    def _short(cls, value: str) -> str:
        if len(value) > 5:
            raise ValueError("give a short one")
        return value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"name": "a", "oen": {}}, "plan.yaml: key 'oen' is not known. Did you mean 'one'?"),
        (
            {"name": "a", "one": {"widht": 1}},
            "plan.yaml: key in one 'widht' is not known. Did you mean 'width'?",
        ),
        (
            {"name": "a", "many": [{}, {"tokn": 1}]},
            "key in many.1 'tokn' is not known. Did you mean 'token'?",
        ),
        ({"name": "a", "named": {"x": {"widht": 2}}}, "'widht' is not known. Did you mean 'width'?"),
        (
            {"name": "a", "pair": [1, {"widht": 2}]},
            "key in pair.1 'widht' is not known. Did you mean 'width'?",
        ),
        ({"nmae": "a"}, "key 'nmae' is not known. Did you mean 'name'?"),
    ],
)
def test_unknown_keys(content: dict[str, object], message: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        validated(Outer, content, "plan.yaml", kind="key")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "plan.yaml: 'name' is missing; it has no default, so give it"),
        ({"name": "longer"}, "plan.yaml: name = 'longer': give a short one"),
        (
            {"name": "a", "one": {"width": 0}},
            "plan.yaml: one.width = 0: Input should be greater than or equal to 1",
        ),
        ({"name": "a", "one": {"token": 3}}, "plan.yaml: one.token: Input should be a valid string"),
    ],
)
def test_values(content: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        validated(Outer, content, "plan.yaml", secret=("one.token",))
    assert str(caught.value) == message
    assert caught.value.__cause__ is None  # which would show the secret


def test_what_is_right_is_taken() -> None:
    assert validated(Outer, {"name": "a", "one": {"width": 2}}, "x").one.width == 2
    assert model_at(Outer, ("nowhere", 3)) is Outer


class Numbers(Strict):
    one: int = 1
    some: float | None = None
    all: int | Literal["all"] | None = None
    many: tuple[Annotated[float, Field(le=2.0)], ...] = ()
    named: dict[str, tuple[float, ...] | None] = Field(default_factory=dict)
    weights: Mapping[str, float | None] = Field(default_factory=dict)
    words: Literal["all"] | dict[str, str] = "all"
    either: bool | int = True
    on: bool = False
    anything: Any = None
    inner: Inner | None = None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"one": True}, "one = True: give a number, not true or false"),
        ({"some": False}, "some = False: give a number, not"),
        ({"all": True}, "all = True: give a number, not"),
        ({"many": [1.0, True]}, r"many = \[1.0, True\]: 1 = True: give a number, not"),
        ({"named": {"a": [1, False]}}, "named: a.1 = False: give a number, not"),
        ({"weights": {"a": 1, "b": True}}, "weights: b = True: give a number, not"),
        ({"inner": {"width": True}}, "inner.width = True: give a number, not"),
    ],
)
def test_truth_is_no_number(content: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^x: {message}"):
        validated(Numbers, content, "x")


def test_truth_where_it_is_meant() -> None:
    content = {"on": True, "either": False, "anything": [True], "inner": {"width": 2}, "weights": {"a": None}}
    content["words"] = {"a": "b"}
    read = validated(Numbers, content, "x")
    assert (read.on, read.either, read.anything) == (True, False, [True])
    assert validated(Numbers, {"one": 3, "all": "all", "many": [1, 2]}, "x").many == (1.0, 2.0)


@pytest.mark.parametrize("value", [True, 0, -1, 1.0, "2", None])
def test_whole_numbers(value: object) -> None:
    assert whole_number("k", 3) == 3
    with pytest.raises(ConfigurationError, match=r"^k = .*: give a whole number, 1 or more$"):
        whole_number("k", value)


@pytest.mark.parametrize("value", [True, -0.5, float("nan"), float("inf"), "2", None])
def test_finite_numbers(value: object) -> None:
    assert finite_number("share", 0, 0) == 0.0
    with pytest.raises(ConfigurationError, match=r"^share = .*: give a number, 0 or more$"):
        finite_number("share", value, 0)

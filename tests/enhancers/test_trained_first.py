"""Names of runs that are trained first, and the options that they may have."""

from __future__ import annotations

import pytest

import burnish
from burnish.enhancers.trained_first import FirstRun, first_run, is_path, settings, unknown_run
from burnish.errors import ConfigurationError, UnknownNameError


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("plain", FirstRun("plain")),
        ("auto", FirstRun("auto")),
        ("softmax", FirstRun("softmax", None, ("softmax",))),
        ("softmax+average", FirstRun("softmax+average", None, ("softmax", "average"))),
        ("softmax + average", FirstRun("softmax + average", None, ("softmax", "average"))),
        ("plain+softmax", FirstRun("plain+softmax", None, ("softmax",))),
        ("EASE", FirstRun("EASE", "EASE")),
        ("LightGCN+softmax", FirstRun("LightGCN+softmax", "LightGCN", ("softmax",))),
        ("./softmax", None),
        ("runs/softmax", None),
        ("out", None),
        ("softmax+out", None),
        ("softmax+LightGCN", None),  # a backbone comes first
        ("lightgcn", None),
    ],
)
def test_names(name: str, wanted: FirstRun | None) -> None:
    assert first_run(name) == wanted
    assert is_path(name) == ("/" in name)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("eas", r"teacher 'eas' is not known\. Did you mean 'ease'\?"),
        ("Lightgcn", r"teacher 'Lightgcn' is not known\. Did you mean 'LightGCN'\?"),
        ("softmax+averag", r"'softmax\+averag': enhancer 'averag' is not known\. Did you mean 'average'\?"),
        ("LightGCM+softmax", r"enhancer 'LightGCM' is not known"),
        ("softmax+LightGCN", r"enhancer 'LightGCN' is not known"),
    ],
)
def test_names_of_nothing(name: str, match: str) -> None:
    with pytest.raises(UnknownNameError, match=match):
        raise unknown_run("teacher", name, ("ease",))


def test_settings_are_recboles_and_those_of_enhancers() -> None:
    run = FirstRun("softmax+average", None, ("softmax", "average"))
    own, block = settings(run, {"softmax.temperature": 0.15, "learning_rate": 0.005}, "here")
    assert own == {"learning_rate": 0.005}
    assert block == {"softmax": {"temperature": 0.15}, "average": {}}


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"seed": 1}, ConfigurationError, r"here\.seed: 'softmax' is trained on the data and the split"),
        ({"sofmax.temperature": 1}, UnknownNameError, "here: enhancer 'sofmax' is not known.*'softmax'"),
        ({"average.decay": 0.9}, UnknownNameError, "here: enhancer 'average' is not known"),
        ({"softmax.temprature": 1}, UnknownNameError, "here: .*'temprature' is not known.*'temperature'"),
        ({"softmax.temperature": 0}, ConfigurationError, "here: .*temperature"),
    ],
)
def test_settings_that_cannot_be(options, error, match) -> None:
    with pytest.raises(error, match=match):
        settings(FirstRun("softmax", None, ("softmax",)), options, "here")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"sofmax": {}}, r"teacher_options: teacher 'sofmax' is not known\. Did you mean 'softmax'"),
        ({"ease": {"reg_weight": 5}}, r"teacher_options\.ease: ease is computed, .* ridge"),
        ({"softmax": {"eval_args": {}}}, r"teacher_options\.softmax\.eval_args: the teacher is trained on"),
    ],
)
def test_options_of_teachers_that_cannot_be(options, match) -> None:
    with pytest.raises(ConfigurationError, match=match):
        burnish.Compress(teachers=("ease", "softmax"), teacher_options=options)


@pytest.mark.parametrize("cls", [burnish.Aggregate, burnish.Softmax])
def test_options_of_bases_that_cannot_be(cls) -> None:
    cls(base="softmax", base_options={"softmax.temperature": 0.1})
    with pytest.raises(ConfigurationError, match="base_options are for a base that is trained first"):
        cls(base="./out", base_options={"epochs": 3})
    with pytest.raises(ConfigurationError, match=r"base_options\.val_interval: the base is trained on"):
        cls(base="auto", base_options={"val_interval": {}})


def test_nothing_given_is_no_options() -> None:
    assert burnish.Compress(teachers="softmax", teacher_options=None).config.teacher_options == {}
    assert burnish.Compress(teachers="softmax", teacher_options={"softmax": None}).config.teacher_options == {
        "softmax": {}
    }

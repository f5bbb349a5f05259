"""Packages whose classes are imported by their names, when they are first asked for."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

FACES = ("burnish", "burnish.backbones", "burnish.enhancers")


@pytest.mark.parametrize("face", FACES)
def test_every_name_is_there(face: str) -> None:
    package = importlib.import_module(face)
    for name in package.__all__:
        assert getattr(package, name) is not None
        assert name in dir(package)
    assert set(package._HOME) <= set(package.__all__)


@pytest.mark.parametrize("face", FACES[1:])
def test_type_checkers_see_the_same_names(face: str) -> None:
    package = importlib.import_module(face)
    tree = ast.parse(Path(str(package.__file__)).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == package._HOME


@pytest.mark.parametrize(
    ("group", "face"), [("burnish.backbones", FACES[1]), ("burnish.enhancers", FACES[2])]
)
def test_every_announced_class_has_its_name(group: str, face: str) -> None:
    """What is announced under a name can be imported under that of its class."""
    package = importlib.import_module(face)
    announced = [point.load() for point in entry_points(group=group) if point.value.startswith("burnish.")]
    assert len(announced) >= 8
    for cls in announced:
        assert getattr(package, cls.__name__) is cls


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("from burnish.backbones import DRexMLP", "cannot import name 'DRexMLP'.*did you mean 'DReXMLP'?"),
        ("from burnish.enhancers import Gided", "did you mean 'Guided'?"),
        ("from burnish import RVrec", "did you mean 'RVRec'?"),
        ("from burnish.backbones import Zzzzz", "it offers DReX, "),
    ],
)
def test_a_misspelt_name_is_told_the_nearest(statement: str, said: str) -> None:
    with pytest.raises(ImportError, match=said.replace("?", r"\?")):
        exec(statement)


def test_a_misspelt_attribute_is_told_the_nearest() -> None:
    import burnish.backbones

    with pytest.raises(AttributeError, match="did you mean 'NARRE'"):
        _ = burnish.backbones.NARE
    assert not hasattr(burnish.backbones, "Nothing")


def test_modules_are_imported_as_before() -> None:
    from burnish.backbones import slot_model
    from burnish.enhancers import registry, zoo

    assert slot_model.__name__ == "burnish.backbones.slot_model"
    assert registry.__name__ == "burnish.enhancers.registry"
    assert zoo.__name__ == "burnish.enhancers.zoo"


def test_looking_costs_nothing() -> None:
    code = (
        "import sys, burnish.backbones as b, burnish.enhancers as e; dir(b); dir(e); "
        "print([name for name in ('torch', 'recbole', 'pandas') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"

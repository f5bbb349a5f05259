"""Docstrings of what users call: numpydoc's format, every parameter and return value described, examples that run."""

from __future__ import annotations

import doctest
import importlib
import inspect
from typing import Any

import pytest
from numpydoc.validate import validate

import burnish
import burnish.enhancers.conformance as conformance
from burnish.enhancers.enhancer import Enhancer

#: What must be right; the other codes are taste (where the first line begins, links to other pages).
CODES = frozenset(
    {
        *("GL03", "GL05", "GL06", "GL07", "GL08", "SS01", "SS02", "SS03", "SS04", "SS06"),
        *("PR01", "PR02", "PR03", "PR05", "PR06", "PR07", "PR08", "PR09", "PR10"),
        *("RT01", "RT03", "RT04", "RT05", "YD01"),
    }
)
NAMES = [f"burnish.{name}" for name in burnish.__all__ if not name.startswith("__")]
HOOKS = [
    f"burnish.enhancers.enhancer.Enhancer.{name}"
    for name, member in vars(Enhancer).items()
    if inspect.isroutine(getattr(Enhancer, name)) and not name.startswith("_") and member is not None
]
DATA = ["burnish.data.from_file", "burnish.data.from_frame"]
CALLS = [
    f"burnish.enhancers.conformance.{name}"
    for name in conformance.__all__
    if callable(getattr(conformance, name))
]


def resolve(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError:
        return getattr(resolve(module), name)


@pytest.mark.parametrize("path", [*NAMES, *HOOKS, *CALLS, *DATA])
def test_the_docstring_has_numpydocs_sections(path: str) -> None:
    wrong = [f"{code} {message}" for code, message in validate(path)["errors"] if code in CODES]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", [*NAMES, *DATA])
def test_there_is_an_example(path: str) -> None:
    assert "Examples\n" in inspect.getdoc(resolve(path))


@pytest.mark.parametrize("path", [*NAMES, *HOOKS, *CALLS, *DATA])
def test_examples_run(path: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What trains is marked `# doctest: +SKIP`; everything else gives what stands there."""
    monkeypatch.chdir(tmp_path)
    found = resolve(path)
    finder = doctest.DocTestFinder(recurse=False)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for test in finder.find(found, path, globs={"burnish": burnish}):
        said: list[str] = []
        runner.run(test, out=said.append)
        assert not said, "".join(said)

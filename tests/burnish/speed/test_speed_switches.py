"""Every part can be left out, by name, from the environment or in a block."""

from __future__ import annotations

import subprocess
import sys

import pytest

from burnish.errors import UnknownNameError
from burnish.speed import PARTS, switches


def test_a_block_without_parts():
    with switches.without("reading"):
        assert not switches.enabled("reading")
        assert switches.enabled("sampling")
        with switches.without():
            assert not any(switches.enabled(part) for part in PARTS)
        assert switches.enabled("sampling")
    assert all(switches.enabled(part) for part in PARTS)


def test_a_misspelt_part_is_named():
    with pytest.raises(UnknownNameError, match="Did you mean 'reading'"), switches.without("reeding"):
        pass


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("", PARTS),
        ("on", PARTS),
        ("off", ()),
        ("-loading, -sampling", tuple(p for p in PARTS if p not in ("loading", "sampling"))),
    ],
)
def test_environment(value, left, monkeypatch):
    monkeypatch.setattr(switches, "_off", set())
    monkeypatch.setenv(switches.VARIABLE, value)
    switches.read_environment()
    assert tuple(part for part in PARTS if switches.enabled(part)) == left


def test_environment_with_a_misspelt_part(monkeypatch):
    monkeypatch.setattr(switches, "_off", set())
    monkeypatch.setenv(switches.VARIABLE, "-loadin")
    with pytest.raises(UnknownNameError, match="Did you mean 'loading'"):
        switches.read_environment()


def test_nothing_is_imported_early():
    """`import burnish` stays light: neither RecBole nor torch is loaded by it."""
    code = "import burnish, sys; print('recbole' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]

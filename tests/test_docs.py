"""What the pages name is there: files, folders, modules and their members."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *(ROOT / n for n in ("README.md", "CONTRIBUTING.md"))]
TOP = ("backbones", "benchmarks", "burnish", "docs", "enhancers", "examples", "tests")
_PATH = re.compile(rf"`((?:{'|'.join(TOP)})/[\w./*-]*)(?:`|::)")
_MODULE = re.compile(r"(?<![\w./])(burnish(?:\.\w+)+)")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[\w-]+)?\)")
_ANCHOR = re.compile(r"\]\(([^)#:]*)#([^)\s]+)\)")


def test_the_house_is_drawn_as_it_is_held() -> None:
    """Every part of the rule in test_architecture.py stands in the table of the design page."""
    table = (ROOT / "docs/design.md").read_text(encoding="utf-8").split("Inside `enhancers/`")[0]
    rule = (ROOT / "tests/test_architecture.py").read_text(encoding="utf-8")
    floors = rule.split("FLOORS = (", 1)[1].split("\n)\n", 1)[0]
    parts = set(re.findall(r'"(\w+)"', floors)) - {"__main__", "_version"}
    assert len(parts) > 15
    assert {part for part in parts if not re.search(rf"`(?:burnish/)?{part}(?:/|\.py)`", table)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_and_modules_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [path for path in _PATH.findall(text) if not list(ROOT.glob(path.rstrip("/")))]
    missing += [link for link in _LINK.findall(text) if not (page.parent / link).exists()]
    missing += [name for name in set(_MODULE.findall(text)) if not _resolves(name)]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_headings(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [(page.parent / target if target else page, place) for target, place in _ANCHOR.findall(text)]
    assert not [f"{at.name}#{place}" for at, place in links if at.exists() and place not in _headings(at)]


def _headings(page: Path) -> set[str]:
    """Anchors as GitHub makes them of headings: letters, digits, - and _, blanks as -."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^#+ +(.+?) *$", text, flags=re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", head) for head in heads]
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in plain}


def _resolves(name: str) -> bool:
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        module = ".".join(parts[:end])
        try:
            if importlib.util.find_spec(module) is None:
                continue
        except ModuleNotFoundError:
            continue
        if end == len(parts):
            return True
        found: object = importlib.import_module(module)
        for part in parts[end:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False

"""What the pages name is there: files, folders, modules and their members."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

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


def test_every_file_of_enhancers_has_its_row_in_the_design() -> None:
    table = (
        (ROOT / "docs/design.md")
        .read_text(encoding="utf-8")
        .split("Inside `enhancers/`")[1]
        .split("\n\nWhat to hold")[0]
    )
    there = {
        path.name + "/" * path.is_dir()
        for path in (ROOT / "enhancers").iterdir()
        if (path.suffix == ".py" and path.name != "__init__.py") or (path / "__init__.py").exists()
    }
    former = {
        path.name
        for path in (ROOT / "enhancers").glob("*.py")
        if path.read_text(encoding="utf-8").startswith('"""The former place of')
    }
    assert there > former > {"errors.py"}
    assert set(re.findall(r"`(\w+(?:/|\.py))`", table)) == there - former


def test_every_option_of_every_enhancer_stands_on_its_page() -> None:
    """`docs/configure.md` says where the options of each enhancer are; the tables there have these and no others."""
    from burnish.enhancers.registry import list_enhancers

    where = _rows((ROOT / "docs/configure.md").read_text(encoding="utf-8"), "enhancer")
    places = {name: links for names, links in where for name in _named(names)}
    known = {name: info.load() for name, info in list_enhancers().items() if info.source == "burnish"}
    assert places.keys() == known.keys()
    for name, cls in known.items():
        written: set[str] = set()
        for target, heading in _ANCHOR.findall(places[name]):
            section = _section(ROOT / "docs" / (target or "configure.md"), heading)
            written.update(option for cell, _ in _rows(section, "option") for option in _named(cell))
            written.update(_of_several(section, name))
            for others in re.findall(rf"`{name}` has the same options without ([^.]*)\.", section):
                written -= set(_named(others))
        assert written == _options(cls.Config), name


def _options(config: type[BaseModel]) -> set[str]:
    """Names of options, and of options that are sets of options of their own."""
    found = set(config.model_fields)
    for field in config.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= _options(field.annotation)
    return found


def _named(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def _rows(text: str, first: str) -> list[tuple[str, str]]:
    """The first two cells of the rows of tables whose first column is called that."""
    found = []
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        head, _, *rows = ([cell.strip() for cell in row.split(" | ")] for row in table.strip().split("\n"))
        if head[0].strip("| ") == first:
            found += [(row[0], row[1]) for row in rows]
    return found


def _of_several(section: str, name: str) -> set[str]:
    """Options of one enhancer in a table of several: where the first cell is empty, it is the one above."""
    found: set[str] = set()
    of = ""
    for whose, options in _rows(section, "option of"):
        of = (_named(whose) or [of])[0]
        found.update(_named(options) if of == name else [])
    return found


def _section(page: Path, heading: str) -> str:
    """What stands under a heading, up to the next one."""
    parts = re.split(r"^#+ +(.+?) *$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return next(text for head, text in zip(parts[1::2], parts[2::2], strict=True) if _anchor(head) == heading)


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
    return {_anchor(head) for head in re.findall(r"^#+ +(.+?) *$", text, flags=re.MULTILINE)}


def _anchor(heading: str) -> str:
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


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

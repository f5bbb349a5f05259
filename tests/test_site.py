"""The documentation site builds without a warning, has a place for every page, and fetches nothing from elsewhere."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from page_blocks import pages_of, site

import burnish
import burnish.benchmarks.harness as harness
import burnish.enhancers.conformance as conformance
from burnish.enhancers.registry import list_enhancers

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


def test_every_page_has_a_place() -> None:
    nav = site()["nav"]
    assert [name for group in nav for name in group] == ["Start", "Do", "Understand", "Evidence"]
    placed = pages_of(nav)
    assert len(placed) == len(set(placed))
    there = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert there <= set(placed), "give these pages a place under `nav` of mkdocs.yml"
    notebooks = {f"examples/{file.name}.md" for file in (ROOT / "examples").glob("*.ipynb")}
    assert set(placed) - there == {"CONTRIBUTING.md", "CHANGELOG.md", *notebooks}


def documented() -> set[str]:
    found = re.findall(
        r"^::: ([\w.]+)", "".join(p.read_text() for p in (DOCS / "api").glob("*.md")), re.MULTILINE
    )
    assert len(found) == len(set(found)), "a name has two places"
    return set(found)


def test_every_public_name_is_documented() -> None:
    """The pages made from docstrings name what packages say is theirs, and nothing that is not there."""
    wanted = {f"burnish.{name}" for name in burnish.__all__ if not name.startswith("__")}
    wanted |= {f"burnish.benchmarks.harness.{name}" for name in harness.__all__} - {
        "burnish.benchmarks.harness.TrainingResult"  # stands among results
    }
    wanted |= {
        f"burnish.enhancers.conformance.{name}" for name in conformance.__all__ if name != "REPRESENTATIVE"
    }
    backbones = importlib.metadata.entry_points(group="burnish.backbones")
    wanted |= {one.value.replace(":", ".") for one in backbones if one.value.startswith("burnish.")}
    assert not wanted - documented()
    for path in documented():
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name), path


def test_every_enhancer_has_its_options() -> None:
    from burnish.enhancers.registry import find_enhancer

    for name in list_enhancers():
        config = find_enhancer(name).Config
        if find_enhancer(name).__module__.startswith("burnish.") and config.__module__.startswith("burnish."):
            assert f"{config.__module__}.{config.__name__}" in documented()


class Page(HTMLParser):
    """What a page of the site fetches, links to, and has anchors for."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fetched: set[str] = set()
        self.links: set[str] = set()
        self.anchors: set[str] = {""}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.anchors |= {known[name] for name in ("id", "name") if name in known}
        if tag in ("script", "img", "iframe", "source") and "src" in known:
            self.fetched.add(known["src"])
        if tag == "link" and known.get("rel") != "canonical":
            self.fetched.add(known["href"])
        if tag == "a" and "href" in known:
            self.links.add(known["href"])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("mkdocs", "material", "mkdocstrings_handlers"):
        pytest.importorskip(package, reason=f"{package} is not installed; pip install 'burnish[docs]'")
    # In a copy, so that nothing is written into the checkout.
    folder = tmp_path_factory.mktemp("site")
    for name in ("docs", "examples", "burnish", "backbones", "benchmarks", "enhancers"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    for name in (
        "mkdocs.yml",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Makefile",
        "setup.cfg",
        "LICENSE",
    ):
        shutil.copy(ROOT / name, folder)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def pages(built: Path) -> dict[str, Page]:
    return {
        file.relative_to(built).as_posix(): Page(file.read_text(encoding="utf-8"))
        for file in built.rglob("*.html")
    }


def test_nothing_is_fetched_from_elsewhere(pages: dict[str, Page], built: Path) -> None:
    fetched = {(name, address) for name, page in pages.items() for address in page.fetched}
    assert len(fetched) > 50
    assert not {(name, address) for name, address in fetched if urlsplit(address).netloc}
    for style in built.rglob("*.css"):
        assert not re.findall(r"url\(\s*[\"']?(?:https?:)?//", style.read_text(encoding="utf-8"))
    assert not list(built.rglob("*.py"))
    assert not list(built.rglob("*.pyc"))


def test_links_lead_somewhere(pages: dict[str, Page], built: Path) -> None:
    """Of generated pages, too, and of what pages link to outside of docs/."""
    lost = set()
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or name == "404.html":
                continue
            target = (
                name if not parts.path else os.path.normpath(f"{Path(name).parent}/{unquote(parts.path)}")
            )
            target = "index.html" if target == "." else target
            if target in pages:
                if unquote(parts.fragment) not in pages[target].anchors:
                    lost.add((name, link))
            elif not (built / target).is_file():
                lost.add((name, link))
    assert not lost


def test_notebooks_and_docstrings_are_pages(built: Path) -> None:
    notebook = (built / "examples" / "attach_and_compare.ipynb.html").read_text(encoding="utf-8")
    assert "notebook-output" in notebook
    assert "softmax, average" in notebook
    api = (built / "api" / "burnish.html").read_text(encoding="utf-8")
    assert "Train a model with early stopping" in api
    options = (built / "api" / "enhancers.html").read_text(encoding="utf-8")
    assert "users a batch, where batches are made of users" in options
    search = (built / "search" / "search_index.json").read_text(encoding="utf-8")
    assert "early stopping" in search
    assert "<!-- test:" not in "".join(page.read_text(encoding="utf-8") for page in built.rglob("*.html"))


def test_links_out_of_the_pages() -> None:
    """What links to files, folders and the README of the checkout become; code stays as it is."""
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location("hooks", DOCS / "site" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)

    class Files:
        def get_file_from_path(self, path: str) -> object:
            return path if path in ("examples/own_enhancer.py.md", "index.md", "CONTRIBUTING.md") else None

    def turned(text: str) -> str:
        return hooks.outside_of_code(
            text, lambda part: hooks._links_turned(part, DOCS / "api" / "page.md", Files())
        )

    assert turned("[a](../../examples/own_enhancer.py)") == "[a](../examples/own_enhancer.py.md)"
    assert (
        turned("[a](../../README.md#x) [b](../../CONTRIBUTING.md)")
        == "[a](../index.md) [b](../CONTRIBUTING.md)"
    )
    assert turned("see [the `examples`](../../examples)") == "see the `examples`"
    assert turned("[a](https://x.org/y) [b](#here)") == "[a](https://x.org/y) [b](#here)"
    code = "```md\n[a](../../README.md)\n```\n"
    assert turned(code) == code
    assert hooks._lists_apart("Words:\n- a\n- b\n  more\n- c\n") == "Words:\n\n- a\n- b\n  more\n- c\n"
    assert hooks.anchor("`compress`: tables - in closed form") == "compress-tables---in-closed-form"

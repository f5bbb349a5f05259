"""What makes one set of pages work as files on a code host and as the site that mkdocs builds.

Pages link to files outside of docs/ relatively.  Those files come along: Markdown and notebooks as pages, other texts
as pages that show them.  Anchors of headings are made as code hosts make them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from html import escape
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
#: Pages of the site that stand beside docs/, not in it.
BESIDE = ("CHANGELOG.md", "CONTRIBUTING.md")
#: The start page of the site stands for the one of the code host.
HOME = {"README.md": "index.md"}
#: Where packages are installed, by the folders that hold them, as `package_dir` of setup.cfg has it.
PACKAGES = {"burnish": "burnish"} | {
    folder: f"burnish/{folder}" for folder in ("backbones", "benchmarks", "enhancers")
}

_FENCE = re.compile(r"^( *)(```+|~~~+).*?^\1\2[`~]*[ ]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]*)(#[^)\s]*)?\)")
_LIST = re.compile(r"^(?:[-*+]|\d+\.) ")
_REMARK = re.compile(r"^<!--.*?-->\n", re.MULTILINE | re.DOTALL)


def on_startup(command: str, dirty: bool) -> None:
    """Lay the packages as they are installed, for the pages made from docstrings, before plugins look for them."""
    tree = ROOT / "build" / "api"
    shutil.rmtree(tree, ignore_errors=True)
    for folder, place in PACKAGES.items():
        shutil.copytree(ROOT / folder, tree / place, ignore=_no_source)


def on_config(config: Any) -> Any:
    """Take anchors as code hosts make them."""
    config["mdx_configs"]["toc"]["slugify"] = anchor
    return config


def _no_source(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "__pycache__" or ("." in name and not name.endswith(".py"))]


def on_files(files: Files, config: Any) -> Files:
    """Add what pages link to outside of docs/, and the notebooks."""
    for name in BESIDE:
        files.append(File.generated(config, name, content=(ROOT / name).read_text(encoding="utf-8")))
    for notebook in sorted((ROOT / "examples").glob("*.ipynb")):
        files.append(File.generated(config, _place(notebook), content=notebook_page(notebook)))
    for file in list(files.documentation_pages()):
        for target in _outside(file.content_string, _source(file.src_uri)):
            if files.get_file_from_path(_place(target)) is None:
                files.append(File.generated(config, _place(target), content=_shown(target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Turn links that leave docs/ to where those files are in the site, and what hosts read otherwise than mkdocs."""
    own = _source(page.file.src_uri)
    return outside_of_code(
        markdown, lambda text: _links_turned(_lists_apart(_REMARK.sub("", text)), own, files)
    )


def anchor(text: str, separator: str = "-") -> str:
    """The anchor of a heading: letters, digits, - and _, blanks as -."""
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", separator)


def outside_of_code(markdown: str, change: Any) -> str:
    """The text with all changed but its fenced blocks."""
    parts, end = [], 0
    for block in _FENCE.finditer(markdown):
        parts += [change(markdown[end : block.start()]), block.group()]
        end = block.end()
    return "".join([*parts, change(markdown[end:])])


def _lists_apart(text: str) -> str:
    """An empty line before a list that follows a paragraph, without which mkdocs takes it for a part of it."""
    lines: list[str] = []
    for line in text.splitlines(keepends=True):
        before = lines[-1] if lines else ""
        if _LIST.match(line) and before.strip() and not before.startswith(" ") and not _LIST.match(before):
            lines.append("\n")
        lines.append(line)
    return "".join(lines)


def _source(uri: str) -> Path:
    """The file that a page is made of."""
    return ROOT / uri if uri in BESIDE or uri.startswith("examples/") else ROOT / "docs" / uri


def _place(file: Path) -> str:
    """Where the site has a file of the checkout."""
    inside = file.relative_to(ROOT).as_posix()
    if inside.startswith("docs/"):
        return inside.removeprefix("docs/")
    return HOME.get(inside) or (inside if inside.endswith(".md") else f"{inside}.md")


def _targets(text: str, own: Path) -> Iterator[tuple[re.Match[str], Path]]:
    for link in _LINK.finditer(text):
        if link[3] and ":" not in link[3]:
            yield link, (own.parent / link[3]).resolve()


def _outside(markdown: str, own: Path) -> Iterator[Path]:
    """The files outside of docs/ that a page links to."""
    for _, target in _targets(_FENCE.sub("", markdown), own):
        if target.is_file() and ROOT in target.parents and ROOT / "docs" not in target.parents:
            yield target


def _links_turned(text: str, own: Path, files: Files) -> str:
    here = PurePosixPath(_place(own)).parent
    for link, target in list(_targets(text, own)):
        if ROOT not in target.parents:
            continue  # mkdocs says that it leads nowhere
        place = _place(target)
        if target.is_dir():
            text = text.replace(link[0], link[2])  # a folder is no page: its name is said without a link
        elif files.get_file_from_path(place) is not None:
            heading = "" if place in HOME.values() else link[4] or ""  # the start page has other headings
            text = text.replace(link[0], f"{link[1]}[{link[2]}]({os.path.relpath(place, here)}{heading})")
    return text


def _shown(file: Path) -> str:
    """A file of the checkout as a page."""
    content = file.read_text(encoding="utf-8")
    if file.suffix == ".md":
        return content
    language = {".py": "python", ".yaml": "yaml", ".yml": "yaml"}.get(file.suffix, "text")
    return f"# {file.name}\n\n`{file.relative_to(ROOT)}`\n\n````{language}\n{content.rstrip()}\n````\n"


# ------------------------------------------------------------------ notebooks


def notebook_page(file: Path) -> str:
    """A notebook as Markdown: its cells, and what they gave."""
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    where = f"This page is the notebook `{file.relative_to(ROOT).as_posix()}`."
    parts = [part for cell in cells for part in _cell(cell)]
    return "\n\n".join([parts[0], where, *parts[1:]]) + "\n"


def _cell(cell: dict[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"]).strip()
    if cell["cell_type"] == "markdown":
        yield source
    elif cell["cell_type"] == "code" and source:
        yield f"````python\n{source}\n````"
        for output in cell["outputs"]:
            yield from _output(output)


def _output(output: dict[str, Any]) -> Iterator[str]:
    data = output.get("data", {})
    if "text/html" in data:
        # Tables of pandas as all others, without a style and borders of their own.
        html = re.sub(r"<style.*?</style>", "", "".join(data["text/html"]), flags=re.DOTALL)
        lines = html.replace(' border="1" class="dataframe"', "").splitlines()
        # Without empty lines, at which Markdown would take over again.
        yield "\n".join(
            ['<div class="notebook-output">', *(line for line in lines if line.strip()), "</div>"]
        )
    elif "image/svg+xml" in data:
        yield f'<div class="notebook-output">{"".join(data["image/svg+xml"]).strip()}</div>'
    elif "image/png" in data:
        yield f'<img alt="" src="data:image/png;base64,{"".join(data["image/png"]).strip()}">'
    else:
        text = "".join(data.get("text/plain", output.get("text", "")))
        if text.strip():
            yield f'<pre class="notebook-output"><code>{escape(text.rstrip())}</code></pre>'

"""The shell blocks of the site's pages, and what readers of them bring along.

A remark before a block says how it is to be run, where it is not as it stands:

    <!-- test: skip REASON -->      it cannot be run here
    <!-- test: long -->             it takes more than some seconds: with the tests marked `conformance`
    <!-- test: first COMMAND -->    what a reader has done before, without being shown how
"""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: Groups of the site whose blocks are run.
GROUPS = ("Start", "Do")
SHELLS = ("sh", "bash", "shell", "console", "zsh")
_FENCE = re.compile(r"^( *)(```+|~~~+) *([\w-]*)[^\n]*\n(.*?)^\1\2[`~]* *$", re.MULTILINE | re.DOTALL)
_REMARK = re.compile(r"<!--\s*test:\s*(.*?)\s*-->", re.DOTALL)
_BEFORE = re.compile(r"(?:<!--(?:(?!-->).)*-->\s*)+\Z", re.DOTALL)
#: Commands that make a page's figures, of minutes to hours; what they are made of has tests of its own.
_FIGURES = re.compile(r"python -m burnish\.(?:benchmarks|enhancers\.conformance)\.")
#: Extras, which the environment of a test has.
_HAD = re.compile(r"^pip install 'burnish\[[\w,-]+\]'.*\n", re.MULTILINE)
#: Commands that change the environment; a test must not.
_INSTALLS = re.compile(r"(?:pip|make|uv|apt(?:-get)?|python3? -m (?:venv|pip)|burnish setup)\b")


@dataclass(frozen=True)
class Block:
    """One block.  number: of the page, from 1.  skip: why it is not run, else empty.  first: what is run before it."""

    page: Path
    number: int
    line: int
    text: str
    skip: str = ""
    long: bool = False
    first: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.page.stem}-{self.number}"


def site() -> dict[str, Any]:
    """What mkdocs.yml says."""
    import yaml

    content: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    return content


def pages_of(entry: Any) -> list[str]:
    """The pages below an entry of the navigation, in its order."""
    if isinstance(entry, str):
        return [entry]
    return [page for one in (entry.values() if isinstance(entry, dict) else entry) for page in pages_of(one)]


def tested_pages() -> list[Path]:
    """The pages whose blocks are run."""
    groups = {name: entry for group in site()["nav"] for name, entry in group.items()}
    pages = [ROOT / "docs" / page for name in GROUPS for page in pages_of(groups[name])]
    return [page for page in pages if page.is_file()]


def blocks_of(page: Path) -> list[Block]:
    """The shell blocks of a page.  Raises `ValueError` for a remark that says nothing, or stands before no block."""
    text = page.read_text(encoding="utf-8")
    blocks, used = [], 0
    for fence in _FENCE.finditer(text):
        if fence[3] not in SHELLS:
            continue
        remarks = _BEFORE.search(text, 0, fence.start())
        said = _REMARK.findall(remarks[0]) if remarks else []
        used += len(said)
        lines = textwrap.dedent(fence[4])
        line = text.count("\n", 0, fence.start()) + 1
        shown = _HAD.sub("", _without_prompts(lines))
        meant = _meant(said, shown, page, line)
        blocks.append(Block(page, len(blocks) + 1, line, shown, **meant))
    if used != len(_REMARK.findall(text)):
        raise ValueError(f"{page}: a remark on a test stands before no shell block")
    return blocks


def _without_prompts(lines: str) -> str:
    """As a reader types it: without `$ `, and without what the machine says, where there are prompts."""
    if not re.search(r"^\$ ", lines, re.MULTILINE):
        return lines
    return "".join(f"{line[2:]}\n" for line in lines.splitlines() if line.startswith("$ "))


def _meant(said: list[str], lines: str, page: Path, line: int) -> dict[str, Any]:
    meant: dict[str, Any] = {"first": ()}
    commands = [
        one for one in re.sub(r"\\\n", " ", lines).splitlines() if one.strip() and one.strip()[0] != "#"
    ]
    if commands and all(_FIGURES.match(one) for one in commands):
        meant["skip"] = (
            "makes the figures of the page, in minutes to hours; the parts it is made of have tests"
        )
    if not commands or any(_INSTALLS.match(one.strip()) for one in commands):
        meant["skip"] = "installs packages; .ci/run and .ci/check-wheel do so in fresh environments"
    for remark in said:
        word, _, rest = remark.partition(" ")
        if word == "skip" and rest.strip():
            meant["skip"] = " ".join(rest.split())
        elif word == "first" and rest.strip():
            meant["first"] += (rest.strip(),)
        elif remark == "long":
            meant["long"] = True
        else:
            raise ValueError(f"{page}, line {line}: {remark!r}: say `skip REASON`, `long` or `first COMMAND`")
    return meant


# ------------------------------------------------------------------ what readers bring along


def bring_along(block: Block, folder: Path) -> None:
    """Write the files that a block names, that readers have and that no block before made."""
    if not (folder / "examples").exists():
        (folder / "examples").symlink_to(ROOT / "examples")
    text = "\n".join([*block.first, block.text])
    for name, write in FILES.items():
        if re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w.-])", text) and not (folder / name).exists():
            write(folder / name, block.page)


def _text(content: str) -> Callable[[Path, Path], None]:
    return lambda file, page: file.write_text(content, encoding="utf-8") and None


def _reviews(shape: str) -> Callable[[Path, Path], None]:
    """Reviews of few items by few users, among them those that the page names."""

    def write(file: Path, page: Path) -> None:
        from published_reviews import SHAPES, block, write_lines

        texts = (
            "a good game with fine pictures",
            "too long and too slow",
            "good sound, but the story is weak",
        )
        rows = block(24, 36, texts)  # enough of each for what conversions keep by default
        named = re.findall(r"--user (A[0-9A-Z]+)", page.read_text(encoding="utf-8"))
        users = {f"U{number}": name for number, name in enumerate(dict.fromkeys(named))}
        kept = [
            row._replace(user=users.get(row.user, row.user))
            for n, row in enumerate(rows)
            if (n + n // 36) % 3
        ]
        write_lines(file, [SHAPES[shape](row) for row in kept])

    return write


def _items(kind: str) -> Callable[[Path, Path], None]:
    def write(file: Path, page: Path) -> None:
        from published_reviews import write_lines

        names = [f"I{number}" for number in range(36)]
        if kind == "amazon":
            write_lines(
                file, [{"parent_asin": one, "title": f"game {one}", "categories": ["Games"]} for one in names]
            )
        else:
            write_lines(
                file, [{"business_id": one, "name": f"place {one}", "categories": "Food"} for one in names]
            )

    return write


def _matlab(file: Path, page: Path) -> None:
    from written_matlab import content, saved

    saved(file.parent, content(), file.name)


def _example(file: Path, page: Path) -> None:
    shutil.copy(ROOT / "examples" / file.name, file)


#: By name, what writes them; it is given the page, too.
FILES: dict[str, Callable[[Path, Path], None]] = {
    "base.yaml": _text("model: BPR\ndataset: ml-100k\n"),
    "mine.yaml": _text("learning_rate: 0.005\n"),
    "my.yaml": _text("learning_rate: 0.005\n"),
    "Video_Games.jsonl.gz": _reviews("amazon-2023"),
    "meta_Video_Games.jsonl.gz": _items("amazon"),
    "yelp_academic_dataset_review.json": _reviews("yelp"),
    "yelp_academic_dataset_business.json": _items("yelp"),
    "yelp.mat": _matlab,
    "ablation.yaml": _example,
}


def all_blocks() -> Iterator[Block]:
    """The blocks of all pages whose blocks are run."""
    for page in tested_pages():
        yield from blocks_of(page)

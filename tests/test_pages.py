"""Every shell block of the pages under Start and Do is run as it stands, or says why it is not.

`page_blocks.py` has the remarks by which a page says so, `page_shell.py` what makes it affordable.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_blocks import FILES, Block, all_blocks, blocks_of, bring_along, tested_pages
from page_shell import Shell, in_less_time


class Reader:
    """Goes through pages from the top, each in a folder of its own."""

    def __init__(self, folder: Path, shell: Shell) -> None:
        self.folder, self.shell = folder, shell
        self.done: dict[Block, tuple[int, str]] = {}

    def follow(self, block: Block, *, long: bool) -> tuple[int, str]:
        """Run a block, and first what stands above it on the page; long: with those that take long."""
        for above in blocks_of(block.page):
            if above.number < block.number and not above.skip and (long or not above.long):
                self._run(above)
        return self._run(block)

    def _run(self, block: Block) -> tuple[int, str]:
        if block not in self.done:
            folder = self.folder / block.page.stem
            folder.mkdir(exist_ok=True)
            bring_along(block, folder)
            self.done[block] = self.shell.run("\n".join([*block.first, block.text]), folder)
        return self.done[block]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with Shell() as shell:
        yield Reader(tmp_path_factory.mktemp("pages"), shell)


BLOCKS = list(all_blocks())


@pytest.mark.parametrize("block", [block for block in BLOCKS if not block.long], ids=str)
def test_a_block_does_what_it_shows(block: Block, request: pytest.FixtureRequest) -> None:
    if block.skip:
        pytest.skip(block.skip)
    _follow(block, request.getfixturevalue("reader"), long=False)


@pytest.mark.conformance
@pytest.mark.parametrize("block", [block for block in BLOCKS if block.long and not block.skip], ids=str)
def test_a_long_block_does_what_it_shows(block: Block, reader: Reader) -> None:
    _follow(block, reader, long=True)


def _follow(block: Block, reader: Reader, *, long: bool) -> None:
    status, said = reader.follow(block, long=long)
    place = f"{block.page.name}, line {block.line}"
    assert status == 0, f"{place}:\n{block.text}\nended with {status} and said:\n{said[-3000:]}"
    assert "Traceback (most recent call last)" not in said, f"{place} said:\n{said[-3000:]}"


def test_pages_and_blocks_are_found() -> None:
    assert len(tested_pages()) >= 20
    assert sum(not block.skip for block in BLOCKS) >= 15
    assert sum(not block.skip and not block.long for block in BLOCKS) >= 10


PAGE = """
# A page

```python
print("no shell")
```

<!-- test: first echo one > file -->
<!-- a remark of another kind -->
```sh
cat file
```

1. in a list

   ```bash
   cat file   # again
   ```

<!-- test: skip it costs
money -->

```sh
false
```

<!-- test: long -->
```console
$ echo three
three
```

```sh
python -m burnish.benchmarks.performance.contrast --threads 1 \\
    --sizes 10
```
"""


def page_of(tmp_path: Path, text: str) -> Path:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    return page


def test_what_remarks_mean(tmp_path: Path) -> None:
    blocks = blocks_of(page_of(tmp_path, PAGE))
    assert [str(block) for block in blocks] == [f"page-{n}" for n in range(1, 6)]
    assert [block.text for block in blocks[:2]] == ["cat file\n", "cat file   # again\n"]
    assert [block.first for block in blocks[:2]] == [("echo one > file",), ()]
    assert blocks[2].skip == "it costs money"
    assert (blocks[3].text, blocks[3].long) == ("echo three\n", True)
    assert blocks[4].skip.startswith("makes the figures")
    assert PAGE.splitlines()[blocks[0].line - 1] == "```sh"
    for command in ("pip install burnish", "make test  # all", "python3 -m venv .venv"):
        one = blocks_of(page_of(tmp_path, f"```sh\nburnish doctor\n{command}\n```\n"))[0]
        assert one.skip.startswith("installs")


@pytest.mark.parametrize(
    ("remark", "says"),
    [
        ("<!-- test: later -->\n```sh\ntrue\n```\n", "say `skip REASON`"),
        ("<!-- test: skip -->\n```sh\ntrue\n```\n", "say `skip REASON`"),
        ("<!-- test: long -->\ntext\n```sh\ntrue\n```\n", "before no shell block"),
        ("<!-- test: long -->\n```python\ntrue\n```\n", "before no shell block"),
    ],
)
def test_wrong_remarks(tmp_path: Path, remark: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        blocks_of(page_of(tmp_path, remark))


def test_blocks_are_run_from_the_top_in_one_folder(tmp_path: Path, reader: Reader) -> None:
    page = page_of(tmp_path, PAGE)
    one = Reader(tmp_path, reader.shell)
    assert one.follow(blocks_of(page)[1], long=False) == (0, "one\n")
    assert len(one.done) == 2
    wrong = page_of(tmp_path, "```sh\nburnish run --model BRP\necho on | cat\n```\n")
    status, said = Reader(tmp_path, reader.shell).follow(blocks_of(wrong)[0], long=False)
    assert status == 2
    assert "on" not in said.splitlines()
    piped = page_of(
        tmp_path, "```sh\nburnish models --category sequential -q | grep -c SASRec > n; cat n\n```\n"
    )
    assert Reader(tmp_path, reader.shell).follow(blocks_of(piped)[0], long=False)[0] == 0


def test_files_that_readers_bring_along(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("kept: true\n")
    block = blocks_of(page_of(tmp_path, "```sh\ncat mine.yaml my.yaml other/base.yaml\n```\n"))[0]
    bring_along(block, tmp_path)
    assert (tmp_path / "my.yaml").read_text() == "kept: true\n"
    assert (tmp_path / "mine.yaml").is_file()
    assert not (tmp_path / "base.yaml").exists()
    assert (tmp_path / "examples" / "ablation.yaml").is_file()
    for name, write in FILES.items():
        write(tmp_path / name, block.page)
        assert (tmp_path / name).is_file()


def test_in_less_time(tmp_path: Path) -> None:
    def shorter(line: str) -> str:
        return " ".join(in_less_time(line.split(), tmp_path))

    assert shorter("burnish run -m BPR --epochs 60 -d x") == "burnish run -m BPR -d x --epochs 1"
    assert shorter("burnish run -m BPR --epochs=60") == "burnish run -m BPR --epochs 1"
    assert shorter("burnish value --model BPR") == "burnish value --model BPR --epochs 1"
    for line in ("burnish run --resume out", "burnish value --run out", "burnish recommend out", "burnish"):
        assert shorter(line) == line
    plan: Any = __import__("yaml").safe_load(
        Path(in_less_time(["burnish", "bench", "demo"], tmp_path)[2]).read_text()
    )
    assert plan["options"]["epochs"] == 1
    assert len(plan["backbones"]) == 1
    assert plan["seeds"] == [1]
    assert "seeds" not in plan["backbones"][0]

"""The notebooks run, and hold what they gave: without paths, times and progress bars."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from notebooks import executed, notebooks, without_progress

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")

#: What differs from machine to machine, or says nothing.
_OF_A_MACHINE = re.compile(
    r"(?<![\w.:*])/(?:home|root|tmp|work|usr|opt|Users|var)/|\bit/s|0x[0-9a-f]{6,}|Warning"
)


def kinds(notebook: Any) -> list[list[str]]:
    """What each cell with code gave: kinds, not figures, which differ a little between machines."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [
        [str(sorted(output.get("data", {}))) + output.output_type for output in cell.outputs]
        for cell in cells
    ]


@pytest.mark.parametrize("file", notebooks(), ids=lambda file: file.stem)
def test_a_notebook_runs_as_it_is_kept(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    kept = nbformat.read(file, as_version=4)
    done = executed(file, tmp_path)
    said = "".join(o.text for c in done.cells for o in c.get("outputs", ()) if o.get("name") == "stderr")
    assert "Warning" not in said
    assert kinds(without_progress(done)) == kinds(kept)


@pytest.mark.parametrize("file", notebooks(), ids=lambda file: file.stem)
def test_what_is_kept(file: Path) -> None:
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), (
        "tests/support/notebooks.py"
    )
    text = file.read_text(encoding="utf-8")
    assert not _OF_A_MACHINE.findall(text)
    assert len(text) < 60_000
    assert "stderr" not in text
    assert notebook.cells[0].source.startswith("# ")
    links = re.findall(
        r"\]\((?!http)([^)#]+)", "".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    )
    assert links
    assert not [link for link in links if not (file.parent / link).is_file()]


def test_there_are_four() -> None:
    assert [file.stem for file in notebooks()] == [
        "attach_and_compare",
        "guided_with_reasons",
        "own_enhancer",
        "value_and_clean",
    ]

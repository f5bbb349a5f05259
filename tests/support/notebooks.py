"""Runs the notebooks of examples/; as a program, runs them anew and keeps what they gave.

OMP_NUM_THREADS=1 .venv/bin/python tests/support/notebooks.py [NAME ...]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def notebooks() -> list[Path]:
    """All of them, by name."""
    return sorted(EXAMPLES.glob("*.ipynb"))


def executed(file: Path, folder: Path) -> Any:
    """The notebook with what its cells give, run in a new process in `folder`.  Raises `CellExecutionError`."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(file, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=900,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    return notebook


def without_progress(notebook: Any) -> Any:
    """The notebook as it is kept: without what has times and paths in it.

    These are bars and remarks on standard error, and the text that stands for a table where there is no HTML.
    """
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = _joined([output for output in cell.outputs if output.get("name") != "stderr"])
            cell.metadata = {}
            for output in cell.outputs:
                if "text/html" in output.get("data", {}):
                    output.data.pop("text/plain", None)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def _joined(outputs: list[Any]) -> list[Any]:
    """With what was printed in several parts, as chance has it, in one."""
    joined: list[Any] = []
    for output in outputs:
        if joined and output.output_type == joined[-1].output_type == "stream":
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def main(names: list[str]) -> None:
    """Run and write."""
    import tempfile

    import nbformat

    for file in notebooks():
        if not names or file.stem in names:
            with tempfile.TemporaryDirectory() as folder:
                done = without_progress(executed(file, Path(folder)))
            nbformat.write(done, file)
            print(f"{file.name} was run")


if __name__ == "__main__":
    main(sys.argv[1:])

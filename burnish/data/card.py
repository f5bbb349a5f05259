"""What a conversion read, left out and wrote: for people (README.txt) and for programs (NAME.card.json)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from burnish._version import __version__
from burnish.backbones.converters.card import Size
from burnish.backbones.converters.folder import CARD, README

from .carried import Column
from .interactions import Step
from .sides import Coverage
from .times import shown


@dataclass(frozen=True)
class DataCard:
    """The record of one conversion.

    name, folder: of the data set.  sources: (role, file, bytes) of every table read.  names: what the interactions
    called their columns, by "user", "item", "rating" and "time".  columns: of all files.  read: rows of the table.
    steps: what left rows out.  size: what stays.  span: first and last time in microseconds since 1970.  sides: by
    "item" and "user", how the tables beside fit.  notes: what was guessed and changed.  title: the column of
    NAME.item that names items for people.  written: False for a dry run.
    """

    name: str
    folder: str
    sources: tuple[tuple[str, str, int], ...]
    names: dict[str, str]
    columns: tuple[Column, ...]
    read: int
    steps: tuple[Step, ...]
    size: Size
    span: tuple[int, int] | None
    sides: dict[str, Coverage]
    notes: tuple[str, ...]
    options: dict[str, Any]
    files: tuple[str, ...] = ()
    title: str | None = None
    written: bool = field(default=True)

    def lines(self) -> list[str]:
        """What was kept and left out, for people."""
        size = self.size
        lines = [
            f"{self.read:,} rows read; kept: {size.users:,} users, {size.items:,} items, {size.ratings:,} interactions "
            f"(density {size.density:.3%})"
        ]
        if self.span is not None:
            lines.append(f"times: {shown(self.span[0])} to {shown(self.span[1])} (UTC)")
        lines += [f"left out: {_rows(step.rows)} {step.what}" for step in self.steps]
        for role, fits in self.sides.items():
            line = (
                f"{fits.known:,} of {fits.known + fits.unknown:,} {role}s have a row in the table of {role}s"
            )
            if fits.unknown:
                line += "; the others have blanks"
            if fits.idle:
                line += f"; left out: {_rows(fits.idle)} of {role}s without interactions"
            if fits.again:
                line += f"; left out: {_rows(fits.again)} of {role}s that were there already"
            lines.append(line)
        return [*lines, *self.notes]

    def text(self) -> str:
        """For people."""
        rows = [
            f"{self.name}: converted by burnish {__version__} from tables",
            "",
            *(
                f"{role}: {file}" + (f" ({size:,} bytes)" if size else "")
                for role, file, size in self.sources
            ),
            *self.lines(),
            "",
            *(f"{one.file}: {one.name}:{one.kind}, from {one.source!r}" for one in self.columns),
            "",
            f"files: {', '.join(self.files)}",
        ]
        return "\n".join(rows) + "\n"

    def write(self, folder: Path) -> None:
        """Both files."""
        (folder / README).write_text(self.text(), encoding="utf-8")
        data = asdict(self)
        data |= {"burnish": __version__, "kind": "tables"}
        data["sources"] = [{"role": role, "file": file, "bytes": size} for role, file, size in self.sources]
        data["size"]["density"] = self.size.density
        del data["folder"], data["written"]
        text = json.dumps(data, indent=2, ensure_ascii=False)
        (folder / f"{self.name}{CARD}").write_text(text + "\n", encoding="utf-8")


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"

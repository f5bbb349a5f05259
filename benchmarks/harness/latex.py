"""The main table of a report as LaTeX: booktabs, mean and deviation over seeds, marks explained below."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

from .main_table import BETTER, OVER, WORSE, Cell, Group, MainTable, main_table
from .metrics import sign, written
from .rows import ALPHA, Row

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    **{letter: f"\\{letter}" for letter in "$&#_%"},
}
#: The last letter of Latin Extended-A, up to which T1 has most.
_LATIN = 0x17F
_MARKS = {BETTER: r"\dagger", WORSE: r"\downarrow", OVER: r"\ddagger"}


def to_latex(rows: Sequence[Row], *, digits: int = 4) -> str:
    """The table of a report's metrics for a paper: needs `booktabs`, and `fontenc` with T1 for quotation marks.

    Floors come first; in each column the best is bold and the second underlined.  Names have all of LaTeX's special
    characters escaped.

    rows: what `summarise` gives.  digits: after the decimal point.  Raises `DataError` for rows without their runs.
    """
    found = main_table(rows)
    n = len(found.columns)
    heads, rules, start = [], [], 2
    for name, width in found.datasets:
        heads.append(rf"\multicolumn{{{width}}}{{c}}{{{escaped(name)}}}")
        rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    metrics = " & ".join(escaped(written(metric)) for _, metric in found.columns)
    lines = [
        r"% In the preamble: \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_caption(found)}}}",
        r"  \label{tab:comparison}",
        rf"  \begin{{tabular}}{{l{'c' * n}}}",
        r"    \toprule",
        f"    & {' & '.join(heads)} \\\\",
        f"    {' '.join(rules)}",
        f"    & {metrics} \\\\",
    ]
    for group in found.groups:
        lines += _group(group, n, digits)
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    doubts = [escaped(one) for one in getattr(rows, "flags", ())]
    note = " ".join(part for part in (_note(found), *doubts) if part)
    if note:
        lines += ["", r"  \smallskip", rf"  {{\footnotesize {note}\par}}"]
    text = "\n".join([*lines, r"\end{table}"]) + "\n"
    if any(ord(letter) > _LATIN and unicodedata.category(letter)[0] != "P" for letter in text):
        text = f"% Names have letters that pdfLaTeX lacks: compile with XeLaTeX or LuaLaTeX.\n{text}"
    return text


def escaped(text: str) -> str:
    """A text that LaTeX shows as it is, on one line, without control characters, which it refuses."""
    there = (letter for letter in " ".join(text.split()) if unicodedata.category(letter) not in ("Cc", "Cf"))
    return "".join(_SPECIAL.get(letter, letter) for letter in there)


def _group(group: Group, n_columns: int, digits: int) -> list[str]:
    lines = [
        r"    \midrule",
        rf"    \multicolumn{{{n_columns + 1}}}{{l}}{{\emph{{{escaped(group.name)}}}}} \\",
    ]
    for line in group.lines:
        cells = " & ".join(_cell(one, digits) for one in line.cells)
        lines.append(f"    \\quad {escaped(line.name)} & {cells} \\\\")
    return lines


def _cell(cell: Cell, digits: int) -> str:
    if cell.empty:
        return r"\emph{failed}" if cell.failure else "--"
    shown = f"{cell.mean:.{digits}f}"
    shown = {1: rf"\textbf{{{shown}}}", 2: rf"\underline{{{shown}}}"}.get(cell.place, shown)
    if math.isfinite(cell.sd):
        shown += rf"\,{{\scriptsize$\pm${cell.sd:.{digits}f}}}"
    marks = "".join(_MARKS[mark] for mark in cell.marks)
    marks += rf"\mathrm{{{cell.letters}}}" if cell.letters else ""
    return shown + (f"$^{{{marks}}}$" if marks else "")


def _caption(found: MainTable) -> str:
    fewest, most = found.seeds
    seeds = f"{most} seed{'s' if most != 1 else ''}" if fewest == most else f"{fewest} to {most} seeds"
    spread = " and standard deviation" if most > 1 else ""
    smaller = [
        escaped(written(name)) for name in dict.fromkeys(name for _, name in found.columns) if sign(name) < 0
    ]
    less = f" Smaller is better: {', '.join(smaller)}." if smaller else ""
    return f"Test metrics: mean{spread} over {seeds}. Best of a column in bold, second underlined.{less}"


def _note(found: MainTable) -> str:
    level = f"$p < {ALPHA:g}$, corrected by Holm's method"
    words = {
        BETTER: f"better than {escaped(found.baseline)}",
        WORSE: f"worse than {escaped(found.baseline)}",
        OVER: "better than the strongest floor",
    }
    said = [f"$^{{{_MARKS[mark]}}}$ {words[mark]}" for mark in words if mark in found.marks]
    return f"{'; '.join(said)} ({level})." if said else ""

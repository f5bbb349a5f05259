"""Rows of a comparison as a terminal table, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from burnish.html_tables import page, table
from burnish.readable import readable

from .across import cells_across, legend
from .faithful import LEGEND
from .flags import SAYS
from .metrics import sign
from .plan import PLAIN
from .rows import Row

if TYPE_CHECKING:
    from rich.table import Table

    from .faithful import Study


#: What is paired and what is taken as random, in words.
_UNITS = {
    ("users", "users and seeds"): "users and seeds",
    ("users", "users"): "users, each averaged over the seeds",
    ("rows", "users and seeds"): "test rows, users and seeds",
    ("rows", "users"): "test rows of all seeds, a user's together",
    ("seeds", "seeds"): "seeds",
}
#: What an interval says, by what it takes as random.
_READINGS = {
    "users and seeds": "for other users and other seeds than these",
    "users": "for these trained models, and says little of other random starts",
}


def _names(rows: Sequence[Row]) -> list[str]:
    """What to call each row's backbone: with the data set, and with the settings, where there are several."""
    several_sets = len({row.dataset for row in rows}) > 1
    versions: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        versions.setdefault((row.dataset, row.backbone), set()).add(row.comparison)
    names = []
    for row in rows:
        name = f"{row.dataset}: {row.backbone}" if several_sets else row.backbone
        names.append(f"{name} #{row.comparison}" if len(versions[row.dataset, row.backbone]) > 1 else name)
    return names


def _figures(row: Row) -> list[str]:
    """Baseline, arm, difference, interval, relative difference, effect size, p: formatted."""
    interval = "-" if math.isnan(row.low) else f"{row.low:+.4f} to {row.high:+.4f}"
    relative = "-" if math.isnan(row.relative) else f"{100 * row.relative:+.1f}%"
    figures = [f"{row.baseline_mean:.4f}", f"{row.mean:.4f}", f"{row.difference:+.4f}", interval, relative]
    return [*figures, effect(row), p_value(row.p_holm)]


def p_value(value: float, missing: str = "-") -> str:
    """A p value as tables show it.  missing: what stands for NaN."""
    if math.isnan(value):
        return missing
    return "<.0001" if value < 1e-4 else f"{value:.4f}"


def effect(row: Row) -> str:
    """Cohen's d_z of a row as tables show it."""
    if not math.isfinite(row.effect_size):
        return "-"
    # Beyond, users differ by rounding alone.
    return (
        f"{row.effect_size:+.2f}" if abs(row.effect_size) < 99 else "<-99" if row.effect_size < 0 else ">+99"
    )


def footnote(rows: Sequence[Row], *, effects: bool = True) -> str:
    """What the figures are, in a few sentences, and what was missing.  effects: whether effect sizes are shown."""
    used: dict[tuple[str, str], list[str]] = {}
    two_way = {row.metric for row in rows if row.interval == "users and seeds"}
    alone = [row for row in rows if row.n_seeds == 1 and row.metric in two_way]
    for row in rows:
        if row in alone:
            continue
        metrics = used.setdefault((row.unit, row.interval), [])
        if row.metric not in metrics:
            metrics.append(row.metric)
    pairs = [
        _UNITS[unit] + (f" ({', '.join(names)})" if len(used) > 1 else "") for unit, names in used.items()
    ]
    text = (
        f"Change: with the arm minus without. Interval and p: paired t over {', over '.join(pairs)}"
        f"{', over users alone where there is one seed' if alone else ''}; p corrected by Holm for {_families(rows)}."
    )
    intervals = list(dict.fromkeys(interval for _, interval in used if interval in _READINGS))
    if len(intervals) == 1:
        text += f" The interval is {_READINGS[intervals[0]]}."
    if effects:
        text += " d: the change over its standard deviation between what is paired."
    smallest = sorted({row.smallest for row in rows if math.isfinite(row.smallest)})
    if smallest:
        ends = dict.fromkeys(f"{value:.2g}" for value in (smallest[0], smallest[-1]))
        text += f" Smallest difference that matters: {' to '.join(ends)}."
    smaller = list(dict.fromkeys(row.metric for row in rows if sign(row.metric) < 0))
    if smaller:
        text += f" Smaller is better: {', '.join(smaller)}."
    floors: Sequence[str] = getattr(rows, "remarks", ())  # a `Comparison` has them
    noted: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for note in row.notes:
            arms = noted.setdefault((row.backbone, note), [])
            if row.arm not in arms:
                arms.append(row.arm)
    if len({row.dataset for row in rows}) > 1:
        remarks = _of_several_sets(rows)
    else:
        remarks = [f"{backbone}, {', '.join(arms)}: {note}." for (backbone, note), arms in noted.items()]
    return " ".join([text, *floors, *remarks])


def _of_several_sets(rows: Sequence[Row]) -> list[str]:
    """The remarks of rows, each once, with the data sets, backbones and arms that it is on."""
    noted: dict[str, dict[str, list[str]]] = {}
    for name, row in zip(_names(rows), rows, strict=True):
        for note in row.notes:
            arms = noted.setdefault(note, {}).setdefault(name, [])
            if row.arm not in arms:
                arms.append(row.arm)
    sentences = []
    for note, places in noted.items():
        alike: dict[tuple[str, ...], list[str]] = {}
        for name, arms in places.items():
            alike.setdefault(tuple(arms), []).append(name)
        where = "; ".join(f"{', '.join(names)} ({', '.join(arms)})" for arms, names in alike.items())
        sentences.append(f"{where}: {note}.")
    return sentences


def _families(rows: Sequence[Row]) -> str:
    """How many comparisons p is corrected for, each family by itself."""
    sizes = {kind: _largest(rows, kind) for kind in _FAMILIES}
    if sizes["pair"]:
        sizes["pair"] += sizes["arm"]
    if not any(sizes[kind] for kind in ("floor", "over", "pair")):
        return f"{sizes['arm']} comparison{'s' if sizes['arm'] != 1 else ''} a metric"
    baseline = next((row.baseline for row in rows if row.kind in ("floor", "arm")), PLAIN)
    listed = [f"{size} {_FAMILIES[kind].format(baseline)}" for kind, size in sizes.items() if size]
    return f"each family of comparisons of a metric: {', '.join(listed)}"


def _largest(rows: Sequence[Row], kind: str) -> int:
    """Rows of a kind, of the metric that has most."""
    metrics = [row.metric for row in rows if row.kind == kind]
    return max(map(metrics.count, metrics), default=0)


#: The families of comparisons, in words.
_FAMILIES = {
    "arm": "of arms with {}",
    "floor": "of floors with {}",
    "pair": "of all pairs of arms",
    "over": "of arms with the strongest floor",
}


def verdicts(rows: Sequence[Row]) -> list[str]:
    """One sentence a backbone: where its best arm stands to its strongest floor, by the first metric."""
    sentences = []
    names = dict(zip((id(row) for row in rows), _names(rows), strict=True))
    first = [row for row in rows if row.metric == rows[0].metric and row.kind != "pair"]
    for one in dict.fromkeys((row.dataset, row.backbone, row.comparison) for row in first):
        own = [row for row in first if (row.dataset, row.backbone, row.comparison) == one]
        sentence = _sentence(own, names)
        if sentence:
            sentences.append(sentence)
    return sentences


def _sentence(rows: Sequence[Row], names: Mapping[int, str]) -> str | None:
    """Where the best arm of one comparison stands to its strongest floor; the baseline, where nothing else can."""
    over = [row for row in rows if row.kind == "over"]
    floor = rows[0].strongest_floor
    if not over and floor == rows[0].baseline:
        over = [row for row in rows if row.kind == "arm"]
    if over:
        best = max(over, key=lambda row: sign(row.metric) * row.mean)
        what = f"the best arm, {best.arm} ({best.mean:.4f}),"
        return _standing(names[id(best)], what, best.baseline, best, 1)
    row = next((row for row in rows if row.arm == floor), None)
    if row is None:
        return None
    return _standing(names[id(row)], f"{row.baseline} ({row.baseline_mean:.4f})", floor, row, -1)


def _standing(backbone: str, what: str, floor: str, row: Row, turn: int) -> str:
    """turn: 1 where the row is what stands minus the floor, -1 where it is the other way round."""
    lower = turn * sign(row.metric) * row.difference < 0
    word = {1: "above", -1: "below", 0: "below, though not clearly," if lower else "not clearly above"}[
        turn * row.direction
    ]
    mean = row.baseline_mean if turn > 0 else row.mean
    ends = sorted((turn * row.low, turn * row.high))
    interval = "" if math.isnan(row.low) else f", 95% interval {ends[0]:+.4f} to {ends[1]:+.4f}"
    return (
        f"{backbone}: {what} is {word} the strongest floor, {floor} ({mean:.4f}): {row.metric} "
        f"{turn * row.difference:+.4f}{interval}{_marked([row])}."
    )


def _marked(rows: Sequence[Row]) -> str:
    """The letters of the flags of some rows, in brackets."""
    letters = "".join(letter for letter in SAYS if any(letter in row.marks for row in rows))
    return f" [{letters}]" if letters else ""


def tallies(rows: Sequence[Row]) -> list[str]:
    """One sentence an arm and metric of several comparisons: on how many data sets x seeds it was better."""
    sentences = []
    arms = [row for row in rows if row.kind == "arm"]
    for metric, arm in dict.fromkeys((row.metric, row.arm) for row in arms):
        own = [row for row in arms if (row.metric, row.arm) == (metric, arm)]
        if len(own) < 2:
            continue
        total, better, equal = (
            sum(getattr(row, name) for row in own) for name in ("n_seeds", "seeds_better", "seeds_equal")
        )
        what = (
            "data sets x seeds"
            if len({row.backbone for row in own}) == 1
            else "backbones x data sets x seeds"
        )
        what = what if len({row.dataset for row in own}) > 1 else "backbones x seeds"
        sentences.append(
            f"{arm} against {own[0].baseline}, {metric}: better on {better}, equal on {equal}, worse on "
            f"{total - better - equal} of {total} {what}{_marked(own)}."
        )
    return sentences


def _below(rows: Sequence[Row], *, effects: bool = True) -> list[str]:
    """The lines below a table."""
    flags, tuning = getattr(rows, "flags", ()), getattr(rows, "tuning", ())  # a `Comparison` has them
    return [*verdicts(rows), *tallies(rows), *flags, *tuning, footnote(rows, effects=effects)]


def to_table(rows: Sequence[Row], *, width: int = 80) -> Table:
    """A table for the terminal, a block for each metric: clear gains green, clear losses red.

    Floors come first; at the end are arms against arms, and the arms against the strongest floor.  width: columns that
    there are; from 90 on the arm's own mean and the effect size (d) are shown, too.
    """
    from rich.table import Table
    from rich.text import Text

    wide = width >= _WIDE
    baseline = rows[0].baseline if rows else PLAIN
    # Tight, so that short names fit into 80 columns.
    # As a text: a letter in brackets would be taken for a style.
    caption = Text("\n".join(_below(rows, effects=wide)), style="table.caption")
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    for head, least in (("backbone", 8), ("arm", 5)):
        table.add_column(head, overflow="fold", min_width=least)
    heads = [baseline, "with", "change", "95% interval", "rel.", "d", "p"]
    shown = [place for place, head in enumerate(heads) if wide or head not in ("with", "d")]
    for head in (heads[place] for place in shown):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("verdict", min_width=11)
    names = _names(rows)
    several = len({row.kind for row in rows}) > 1
    for metric in dict.fromkeys(row.metric for row in rows):
        table.add_row(Text(metric, style="bold cyan"))
        for kind, title in _BLOCKS.items():
            block = [pair for pair in zip(names, rows, strict=True) if _is(pair[1], metric, kind)]
            if block and several:
                table.add_row(Text(title, style="italic"))
            for name, row in block:
                style = "yellow" if row.collapsed else {1: "green", -1: "red", 0: ""}[row.direction]
                figures = _figures(row)
                arm = row.arm if kind == "floor" else _label(row)
                cells = [Text(cell) for cell in (name, arm, *(figures[place] for place in shown))]
                table.add_row(*cells, Text(row.shown_verdict, style=style))
    return table


_WIDE = 90

#: What the blocks of a metric are called, in their order.
_BLOCKS = {"floor": "floors", "arm": "arms", "pair": "pairs", "over": "to floor"}


def _is(row: Row, metric: str, kind: str) -> bool:
    return row.metric == metric and row.kind == kind


def to_markdown(rows: Sequence[Row]) -> str:
    """A Markdown table, floors first; then arms against arms, and against the strongest floor; all that in words."""
    baseline = rows[0].baseline if rows else PLAIN
    named = list(zip(_names(rows), rows, strict=True))
    blocks: list[tuple[tuple[str, ...], tuple[str, str]]] = [(("floor", "arm"), (baseline, "with arm"))]
    parts = [
        f"**{metric}**\n\n{markdown_table(heads, lines)}"
        for metric, heads, lines in cells_across(rows, "**{}**")
    ]
    parts += [legend(rows)] if parts else []
    for kinds, heads in [*blocks, *(((kind,), heads) for kind, heads in _SIDES.items())]:
        shown = [pair for pair in named if pair[1].kind in kinds]
        if shown or "arm" in kinds:
            parts.append(_markdown(shown, *heads))
    *said, last = _below(rows)
    if said:
        parts.append("\n".join(f"- {shown_in_markdown(sentence)}" for sentence in said))
    return "\n\n".join([*parts, shown_in_markdown(last), *_reasons(getattr(rows, "faithfulness", ()))]) + "\n"


def _reasons(studies: Sequence[Study]) -> list[str]:
    """Whether the models' reasons are faithful, as paragraphs; none without a study."""
    parts = []
    for study in studies:
        lines = [
            [model, measure, *("-" if one is None else str(one) for one in cells)]
            for model, measure, cells in study.lines()
        ]
        heads = ["model", "measure", "ours", *study.references]
        said = [shown_in_markdown(line) for line in (study.head(), *study.warnings)]
        parts += [said[0], markdown_table(heads, lines, align="---"), *said[1:]]
    return ["**Faithfulness of reasons**", *parts, LEGEND] if parts else []


#: What the two sides of a row are, where they are not the report's baseline and an arm.
_SIDES = {"pair": ("second arm", "first arm"), "over": ("strongest floor", "with arm")}


def _markdown(named: Sequence[tuple[str, Row]], baseline: str, other: str) -> str:
    heads = ["backbone", "arm", "metric", "seeds", baseline, other, "difference", "95% interval"]
    cells = [
        [name, _label(row), row.metric, str(row.n_seeds), *_figures(row), row.shown_verdict]
        for name, row in named
    ]
    return markdown_table([*heads, "relative", "d", "p (Holm)", "verdict"], cells, align="---")


def _label(row: Row) -> str:
    beside = f"{row.arm} / {row.baseline}"
    return {"floor": f"{row.arm} (floor)", "pair": beside, "over": beside}.get(row.kind, row.arm)


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, align: str = "---:") -> str:
    """A table in Markdown.  align: of all columns but the first, which is at the left."""
    lines = [heads, ["---", *(align for _ in heads[1:])], *rows]
    return "\n".join("| " + " | ".join(map(_in_cell, line)) + " |" for line in lines)


#: Where Markdown would take what follows for HTML.
_TAG = re.compile(r"(?<!\\)<(?=[A-Za-z/!?])")


def shown_in_markdown(text: str) -> str:
    """A text on one line that Markdown shows, and of which a browser obeys nothing."""
    return _TAG.sub(r"\<", readable(" ".join(text.splitlines())))


def _in_cell(text: str) -> str:
    return shown_in_markdown(text).replace("|", "\\|")


def to_html(rows: Sequence[Row]) -> str:
    """As `to_markdown`, for a notebook."""
    parts = [table(heads, lines, title=metric) for metric, heads, lines in cells_across(rows)]
    for kind in _BLOCKS:
        named = [pair for pair in zip(_names(rows), rows, strict=True) if pair[1].kind == kind]
        baseline, other = _SIDES.get(kind, (named[0][1].baseline if named else "", "with"))
        heads = ["backbone", "arm", "metric", "verdict", baseline, other.removesuffix(" arm"), "change"]
        heads += ["95% interval", "relative", "d", "p"]
        cells = [(name, _label(row), row.metric, row.shown_verdict, *_figures(row)) for name, row in named]
        parts += [table(heads, cells, text=4)] if cells else []
    return page("comparison", *parts, notes=_below(rows) if rows else ["no rows"])


def to_csv(rows: Sequence[Row]) -> str:
    """Every field of every row in full precision, with a header line; notes and flags are joined by "; "."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(asdict(row) | {"notes": "; ".join(row.notes), "flags": "; ".join(row.flags)})
    return buffer.getvalue()

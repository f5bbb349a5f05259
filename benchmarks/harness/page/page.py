"""The report as one HTML file that needs nothing else: no network, no other files, and no script to be read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from burnish.errors import DataError
from burnish.files.pages import minus, render
from burnish.files.svg import DARK, GREY, LIGHT

from ..cd_diagram import diagram
from ..faithful import LEGEND, Study
from ..faithful import Figure as Measured
from ..main_table import MainTable, main_table
from ..metrics import sign, written
from ..notes import ended, shortened
from ..ranks import Ranking
from ..report import Comparison
from ..rows import ALPHA, Row
from ..tables import footnote, p_value, verdicts
from .checklist import checklist
from .costs import costs
from .drawings import COLOURS, forest
from .learning import learning
from .parts import Cell, Figure, Place, Section, Table, named, number, places_of, tone, verdict
from .slices import beyond, by_activity, by_popularity
from .tuned import tuning_section
from .verdicts import at_a_glance, no_help

_HERE = Path(__file__).parent / "templates"
#: Colours of drawings on a dark page: lighter ones of the same hue.
_DARK = {
    DARK: "#e6e8ea",
    GREY: "#9aa4ae",
    LIGHT: "#30363d",
    "#ffffff": "var(--paper)",
    "#1a7f37": "#56c271",
    "#c2372e": "#f0857c",
    **dict(
        zip(
            COLOURS,
            ("#7db3f0", "#f0a16b", "#6cc48d", "#c3a1e8", "#ee8fa5", "#b7c56b", "#6cc6d6", "#dcbf56"),
            strict=True,
        )
    ),
}


def to_page(
    rows: Sequence[Row], *, title: str = "Comparison", ranking: Ranking | str = "", flags: Iterable[str] = ()
) -> str:
    """The text of an HTML page with everything that is known of a comparison.

    Floors come first.  Styles and the script, which sorts tables and nothing more, are inside, with their digests in a
    Content-Security-Policy; all texts are escaped.

    Parameters
    ----------
    rows
        What `summarise` gives.
    title
        Of the page.
    ranking
        For the critical-difference diagram (`rank_arms`), or why there is none.
    flags
        Sentences that are to be read first: what casts doubt on the figures.

    Raises
    ------
    DataError
        For rows without their runs.
    """
    if not isinstance(rows, Comparison) or not rows or not rows.sources:
        raise DataError("the page needs a report with its runs, as `summarise` gives it")
    from markupsafe import Markup

    places = places_of(rows)
    return render(
        _HERE,
        more_style=_colours(),
        filters={"written": written, "minus": minus},
        title=title,
        lead=_lead(places),
        said=verdicts(rows),
        flags=[*flags, *getattr(rows, "flags", ()), *_doubts(rows, places)],
        glance=at_a_glance(places),
        main=main_table(rows),
        main_note=_main_note(main_table(rows)),
        level=ALPHA,
        sections=[
            _differences(rows, places),
            no_help(places),
            _ranks(ranking, rows),
            beyond(places),
            by_activity(places),
            by_popularity(places),
            costs(places),
            learning(places),
            tuning_section(places, getattr(rows, "tuning", ())),
            *_reasons(rows.faithfulness),
            _controls(places),
            checklist(places),
        ],
        remarks=[remark for remark in rows.remarks if remark not in rows.absences],
        svg=Markup,
        sign=sign,
    )


def _colours() -> str:
    """Rules that turn the drawings' colours on a dark page."""
    rules = "\n".join(
        f'  figure svg [{what}="{light}"] {{ {what}: {dark}; }}'
        for light, dark in _DARK.items()
        for what in ("fill", "stroke")
    )
    return f"@media screen and (prefers-color-scheme: dark) {{\n{rules}\n}}\n"


def _lead(places: list[Place]) -> str:
    datasets = list(dict.fromkeys(str(place.known.note["dataset"]) for place in places))
    backbones = list(dict.fromkeys(str(place.known.note["label"]) for place in places))
    arms = list(dict.fromkeys(name for place in places for name, kind, _ in place.sides() if kind == "arm"))
    floors = list(
        dict.fromkeys(name for place in places for name, kind, _ in place.sides() if kind == "floor")
    )
    seeds = {seed for place in places for *_, side in place.sides() for seed in side.tests}

    def counted(names: list[str], one: str, many: str) -> str:
        return (
            f"{len(names)} {one if len(names) == 1 else many} ({', '.join(names)})" if names else f"no {many}"
        )

    return (
        f"{counted(arms, 'arm', 'arms')} against {places[0].baseline}, with {counted(floors, 'floor', 'floors')}, on "
        f"{counted(backbones, 'backbone', 'backbones')} and {counted(datasets, 'data set', 'data sets')}, "
        f"{len(seeds)} seed{'s' if len(seeds) != 1 else ''}."
    )


def _doubts(rows: Comparison, places: list[Place]) -> list[str]:
    """What failed, what casts doubt on single arms, and what else has no row."""
    failed: dict[tuple[str, str], list[str]] = {}
    for place in places:
        for name, _, side in place.sides():
            if side.failure:
                failed.setdefault((name, shortened(side.failure, 160)), []).append(place.name)
    said = [f"{name} failed ({'; '.join(where)}). {ended(error)}" for (name, error), where in failed.items()]
    noted: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for note in row.notes:
            arms = noted.setdefault((f"{row.dataset}, {row.backbone}", note), [])
            if row.arm not in arms:
                arms.append(row.arm)
    said += [f"{place}: {', '.join(arms)}: {note}." for (place, note), arms in noted.items()]
    return said + [one for one in rows.absences if not any(f"{name} failed: " in one for name, _ in failed)]


def _main_note(found: MainTable) -> str:
    fewest, most = found.seeds
    seeds = f"{most} seed{'s' if most != 1 else ''}" if fewest == most else f"{fewest} to {most} seeds"
    return f"Mean and standard deviation over {seeds}; the best of a column is bold, the second underlined."


def _differences(rows: Comparison, places: list[Place]) -> Section:
    """Intervals of the first metric as drawings, and all rows as a table."""
    metric = places[0].metrics[0]
    figures = []
    for place in places:
        drawn = [row for row in place.rows if row.metric == metric and row.kind in ("floor", "arm")]
        drawn.sort(key=lambda row: row.kind != "floor")
        if drawn:
            caption = f"{place.name}: change of {written(metric)} to {place.baseline}"
            figures.append(Figure(forest(drawn, caption), caption))
    names = {id(row): place.name for place in places for row in place.rows}
    lines = [
        (
            Cell(names[id(row)]),
            named(row.arm, row.kind),
            Cell(row.baseline),
            Cell(written(row.metric)),
            Cell(verdict(row), tone=tone(row)),
            number(row.baseline_mean),
            number(row.mean),
            number(row.difference, plus=True),
            Cell(f"{row.low:+.4f} to {row.high:+.4f}" if math.isfinite(row.low) else "–", row.low),
            number(100 * row.relative, 1, plus=True, unit="%"),
            number(row.effect_size, 2, plus=True) if abs(row.effect_size) < 99 else Cell("–", None, "muted"),
            Cell(p_value(row.p_holm, "–"), row.p_holm if math.isfinite(row.p_holm) else None),
        )
        for row in rows
    ]
    heads = (
        "place",
        "arm",
        "against",
        "metric",
        "verdict",
        "its mean",
        "arm's mean",
        "change",
        "95% interval",
    )
    return Section(
        "differences",
        "Differences",
        (
            f"Squares are floors, dots are arms; green is a clear gain, red a clear loss, grey neither. Lines are 95% "
            f"intervals, for {written(metric)}; the table has every metric.",
        ),
        tuple(figures),
        (Table((*heads, "relative", "d", "p (Holm)"), tuple(lines), 5, "Every comparison", grouped=True),),
        notes=(footnote(list(rows)),),
    )


def _ranks(ranking: Ranking | str, rows: Comparison) -> Section:
    if isinstance(ranking, str):
        said = ranking or "No ranking was asked for."
        return Section("ranks", "Ranks over data sets and seeds", (said,))
    few = len({row.dataset for row in rows}) < 5
    caution = (
        "Seeds of one data set share most of its data: with few data sets the ranks speak of these data alone.",
    )
    return Section(
        "ranks",
        "Ranks over data sets and seeds",
        (ranking.sentence(),),
        (
            Figure(
                diagram(ranking), "Average ranks, the best at the left; a bar joins what is not told apart"
            ),
        ),
        notes=caution if few else (),
        wide=True,
    )


#: Options of enhancers that make a control of them.
_CONTROL = "control"
#: Enhancers that are there to be compared with.
_CONTROLS = {"euclid2d": "the network and contrast of rvrec with a Euclidean distance"}


def _controls(places: list[Place]) -> Section:
    """Arms that change something else than what is claimed, beside the others by the first metric."""
    metric = places[0].metrics[0]
    lines = []
    for place in places:
        given = place.known.note.get("controls") or {}
        for name, kind, side in place.sides():
            why = (
                given.get(name)
                if isinstance(given, dict)
                else ""
                if name not in given
                else "named by the plan"
            )
            why = why or (_why_control(side) if kind == "arm" else "")
            row = place.row(name, metric)
            if why and row is not None:
                lines.append(
                    (
                        Cell(place.name),
                        Cell(name),
                        Cell(str(why)),
                        Cell(verdict(row), tone=tone(row)),
                        number(row.difference, plus=True),
                        number(100 * row.relative, 1, plus=True, unit="%"),
                    )
                )
    if not lines:
        return Section(
            "controls", "Controls", ("No arm is a control: nothing says what else could have made the gain.",)
        )
    return Section(
        "controls",
        "Controls",
        (
            "Arms that change something else than what is claimed. What a control gains too is not due to the claim.",
        ),
        tables=(
            Table(
                ("place", "arm", "what it is", "verdict", "change", "relative"),
                tuple(lines),
                4,
                written(metric),
                grouped=True,
            ),
        ),
    )


def _why_control(side: Any) -> str:
    """What makes a control of an arm, from the settings of its runs; empty for none."""
    from burnish.files.whole import read_json

    from ..runs import CURE

    for folder in side.folders.values():
        try:
            enhancers = read_json(folder / "config.json", CURE)["enhancers"]
            if not enhancers:
                return "no enhancer, other options"
            for name, block in enhancers.items():
                if name in _CONTROLS:
                    return _CONTROLS[name]
                if block.get(_CONTROL, "none") not in ("none", None):
                    return f"{name} with control: {block[_CONTROL]}"
        except (DataError, KeyError, AttributeError, TypeError):
            continue
    return ""


def _reasons(studies: Sequence[Study]) -> list[Section]:
    """A section with a table a study, and the warnings; none where there is no study."""
    if not studies:
        return []
    tables = []
    for study in studies:
        lines = tuple(
            (Cell(model), Cell(measure), *map(_reference, cells)) for model, measure, cells in study.lines()
        )
        heads = ("model", "measure", "ours", *study.references)
        tables.append(Table(heads, lines, 2, study.head(), grouped=True))
    said = tuple(line for study in studies for line in study.warnings)
    return [Section("reasons", "Faithfulness of reasons", (LEGEND,), (), tuple(tables), notes=said)]


def _reference(figure: Measured | None) -> Cell:
    """Green where ours are better than this reference."""
    if figure is None or figure.mean is None:
        return Cell("–", None, "muted")
    return Cell(str(figure), figure.mean, {"+": "gain", "-": "loss"}.get(figure.mark, ""))

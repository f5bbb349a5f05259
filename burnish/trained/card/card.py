"""`burnish.card`: the model card of a finished run, as sections that are written as Markdown, HTML or JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burnish import html_tables
from burnish.errors import BurnishError, DataError
from burnish.readable import readable, readable_html

from .read import CURE, Facts, read_facts
from .slices import Estimate, by_activity, by_popularity, figures, weaknesses
from .words import deciding, objective, settings, split_in_words


@dataclass(frozen=True)
class Section:
    """A part of a card: a title, sentences, and a table where it has one.

    heads, rows: of the table.  text: how many of its columns, from the left, are text.
    """

    title: str
    sentences: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    text: int = 1


@dataclass(frozen=True)
class ModelCard:
    """What a run is, what it optimises, what decides a recommendation, how good it is, and where it is weak.

    Attributes
    ----------
    title
        The model, its data and its seed.
    sections
        In the order in which they are read.
    """

    title: str
    sections: tuple[Section, ...]

    def markdown(self) -> str:
        """The card as Markdown."""
        return readable("\n".join([f"# {self.title}", "", *_markdown(self.sections)]))

    def html(self) -> str:
        """The card as a page of its own: no script, nothing from elsewhere."""
        style = (
            "body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; "
            "color-scheme: light dark } td:last-child { overflow-wrap: anywhere }"
        )
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{readable_html(self.title)}</title>'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>'
            f"<body><main><h1>{readable_html(self.title)}</h1>{''.join(self._html('h2'))}</main></body></html>\n"
        )

    def as_object(self) -> dict[str, Any]:
        """The card as JSON holds it: numbers that are not known are null."""
        return {
            "title": self.title,
            "sections": [
                {
                    "title": one.title,
                    "sentences": list(one.sentences),
                    **({"heads": list(one.heads), "rows": [list(map(_plain, row)) for row in one.rows]}),
                }
                for one in self.sections
            ],
        }

    def _html(self, heading: str) -> Iterator[str]:
        for one in self.sections:
            yield f"<{heading}>{readable_html(one.title)}</{heading}>"
            yield "".join(f"<p>{readable_html(sentence).replace('`', '')}</p>" for sentence in one.sentences)
            if one.rows:
                yield html_tables.table(one.heads, one.rows, text=one.text)

    def _repr_html_(self) -> str:
        return html_tables.page(self.title, *self._html("h4"))


def card(run: Path | str) -> ModelCard:
    """The model card of a finished run.

    Parameters
    ----------
    run : Path or str
        The folder of a run of `burnish run`, or of one of `burnish bench`.  Neither the model nor the data are loaded,
        and nothing of them is executed.

    Returns
    -------
    ModelCard
        With `markdown()`, `html()` and `as_object()`; a notebook shows it.

    Raises
    ------
    DataError
        The folder holds no run, one that has not ended, or files that are damaged.

    Notes
    -----
    Intervals are for other users like those of the test, not for other seeds or data.  Groups of items and users are
    said to be weak only where their interval of 95% lies below that of the best group.  Ours; what a card should hold
    after Mitchell et al., "Model Cards for Model Reporting" (FAT* 2019), and article 27 of Regulation (EU) 2022/2065.

    Examples
    --------
    >>> burnish.run("BPR", "ml-100k", enhancers="softmax", folder="out")  # doctest: +SKIP
    >>> print(burnish.card("out").markdown())  # doctest: +SKIP
    """
    facts = read_facts(run)
    attached = " + ".join([facts.model, *facts.enhancers])
    seed = facts.result.get("seed", facts.config.get("seed"))
    try:
        sections = _sections(facts)
    except BurnishError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # JSON that can be read and has another shape than what was written.
        raise DataError(
            f"the figures or settings in {facts.folder} are damaged ({error!r}); {CURE}"
        ) from error
    return ModelCard(f"{attached} on {facts.dataset}, seed {seed}", sections)


def _sections(facts: Facts) -> tuple[Section, ...]:
    return (
        Section("What it optimises", tuple(objective(facts))),
        Section("What decides a recommendation", tuple(deciding(facts))),
        _settings(facts),
        _data(facts),
        *_figures(facts),
        *_weaknesses(facts),
        _reproduction(facts),
    )


def _settings(facts: Facts) -> Section:
    return Section("Settings", (), ("option", "value", "what it does"), tuple(settings(facts)), 3)


def _data(facts: Facts) -> Section:
    data = facts.result.get("data") or {}
    counts = ""
    if "users" in data:
        numbers = (
            f"{data['interactions']:,} interactions of {data['users']:,} users with {data['items']:,} items"
        )
        counts = f"{facts.dataset}: {numbers}."
    parts = {"digest": "all", "training": "training", "validation": "validation", "test": "test"}
    rows = tuple((name, str(data[key])) for key, name in parts.items() if key in data)
    sentences = tuple(one for one in (counts, split_in_words(facts)) if one)
    return Section("Data", sentences, ("part", "digest of its rows") if rows else (), rows, 2)


def _figures(facts: Facts) -> Iterator[Section]:
    known = figures(facts)
    if not known:
        yield Section("How good it is", ("It was not tested.",))
        return
    n = max(one.n for one, _ in known)
    mode = (facts.config.get("eval_args") or {}).get("mode") or {}
    sampled = mode.get("test", "full") if isinstance(mode, dict) else mode
    said = []
    if n:
        said.append(
            f"Intervals of 95% are for other users like these {n:,}; other seeds and other data add to them. Figures "
            f"of validation are too good, as they chose the epoch."
        )
    if str(sampled) not in ("full", "labeled"):
        said.append(
            f"Ranked are a few drawn items ({sampled}), not the catalogue: figures are higher than in use."
        )
    said.append(
        f"Whether simpler models are as good, this card does not know: `burnish bench quick`, or `burnish improve "
        f"--model {facts.model} --dataset {facts.dataset}`."
    )
    rows = tuple((one.name, one.value, one.interval, valid) for one, valid in known)
    yield Section("How good it is", tuple(said), ("metric", "test", "95% interval", "validation"), rows)


def _weaknesses(facts: Facts) -> Iterator[Section]:
    said = weaknesses(facts)
    _, items = by_popularity(facts)
    metric, users = by_activity(facts)
    if not items and not users:
        yield Section(
            "Where it is weak",
            ("Not known: a test that ranks the whole catalogue with beyond_accuracy: true measures it.",),
        )
        return
    said = said or ["In no group that was looked at is it clearly worse than in the others."]
    heads = ("items", "found", "95% interval", "test interactions", "items in it", "share of lists")
    rows = tuple(
        (one.name, f"{one.value:.1%}", f"{one.low:.1%} to {one.high:.1%}", one.n, count, f"{share:.1%}")
        for one, count, share in items
    )
    title = "Where it is weak"
    yield Section(title, tuple(said), heads if rows else (), rows)
    if users:
        yield Section(
            f"{metric.upper()} by users' interactions in training",
            (),
            ("users with", metric, "95% interval", "users"),
            tuple(_row(one) for one in users),
        )


def _row(one: Estimate) -> tuple[Any, ...]:
    return one.name, one.value, one.interval, one.n


def _reproduction(facts: Facts) -> Section:
    known = facts.environment
    packages = known.get("packages") or {}
    rows = [
        ("command", " ".join(_short(known.get("command") or ()))),
        ("packages", ", ".join(f"{name} {number}" for name, number in packages.items())),
        ("Python", known.get("python")),
        ("platform", known.get("platform")),
        ("device", known.get("cuda") or "processor"),
        ("seconds of training", _seconds(facts)),
        ("parameters", facts.result.get("n_parameters")),
    ]
    kept = tuple((name, html_tables.shown(value)) for name, value in rows if value not in (None, "", ()))
    return Section("How it was made", (), ("what", "value"), kept, 2)


def _short(command: Sequence[str]) -> list[str]:
    """The command without the folder of its program."""
    return [Path(part).name if place == 0 else part for place, part in enumerate(command)]


def _seconds(facts: Facts) -> str | None:
    spent = facts.result.get("seconds") or {}
    value = spent.get("train")
    first = sum(value for name, value in spent.items() if name == "base" or name.startswith("teacher "))
    if value is None:
        return None
    return f"{value:.0f}" if not first else f"{value:.0f}, and {first:.0f} for what was trained first"


def _markdown(sections: Sequence[Section]) -> Iterator[str]:
    for one in sections:
        yield from (f"## {one.title}", "")
        yield from (line for sentence in one.sentences for line in (f"- {sentence}",))
        if one.sentences:
            yield ""
        if one.rows:
            yield f"| {' | '.join(one.heads)} |"
            yield f"|{'|'.join(' --- ' if place < one.text else ' ---: ' for place in range(len(one.heads)))}|"
            yield from (f"| {' | '.join(_cell(cell) for cell in row)} |" for row in one.rows)
            yield ""


def _cell(cell: object) -> str:
    return html_tables.shown(cell).replace("|", "\\|").replace("\n", " ")


def _plain(cell: Any) -> Any:
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell

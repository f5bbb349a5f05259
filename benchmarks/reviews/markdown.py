"""The figures of a study as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from burnish.benchmarks.harness.tables import markdown_table, p_value

from .figures import Figures, counts, main_metrics
from .generated import TEXT_METRICS
from .paired import ERRORS

_Values = Mapping[str, tuple[float, float]]


def to_markdown(figures: Figures) -> str:
    """The report: main table with floors, P1 at every cut, paired differences, robustness, and how to read them."""
    parts = [f"# {figures.plan.name}: {figures.plan.dataset}", *_main(figures), *_curves(figures)]
    parts += _sentences(figures)
    parts += _unclipped(figures)
    parts += _paired(figures)
    parts += _robustness(figures)
    parts += ["## Notes", *_notes(figures)]
    return "\n\n".join(parts) + "\n"


def _main(figures: Figures) -> list[str]:
    metrics = main_metrics(figures.plan)
    rows = [
        [name, str(len(figures.seeds[label])), *(_cell(values, metric) for metric in metrics)]
        for label, name, values in _named(figures)
    ]
    return [markdown_table(["model", "seeds", *(_head(metric) for metric in metrics)], rows)]


def _named(figures: Figures) -> Iterable[tuple[str, str, _Values]]:
    for label, values in figures.models.items():
        yield label, label, values
    for label, values in figures.floors.items():
        yield label, f"*{label}*", values


def _cell(values: _Values, metric: str) -> str:
    if metric not in values or math.isnan(values[metric][0]):
        return "–"
    mean, spread = values[metric]
    return f"{mean:.4f}" if math.isnan(spread) else f"{mean:.4f} ± {spread:.4f}"


def _head(metric: str) -> str:
    names = {
        "ndcg": "NDCG",
        "ndcg_full": "NDCG full",
        "ndcg_binary": "NDCG binary",
        "f1": "F1",
        "recall": "Recall",
    }
    if metric in ERRORS:
        return metric.upper()
    kind, _, cut = metric.partition("@")
    protocol, _, name = kind.partition(".")
    return f"{protocol.upper()} {names[name]}@{cut}"


def _curves(figures: Figures) -> list[str]:
    """NDCG of P1 at every cut, ideal cut at k and ideal of all test items."""
    parts = []
    for kind, ideal in (
        ("p1.ndcg", "ideal cut at k"),
        ("p1.ndcg_full", "ideal of all the user's test items"),
    ):
        ks = figures.plan.protocols.ks
        rows = [
            [name, *(_cell_mean(values, f"{kind}@{k}") for k in ks)]
            for _, name, values in _named(figures)
            if f"{kind}@{ks[0]}" in values
        ]
        parts += [f"## P1 NDCG@k, {ideal}", markdown_table(["model", *(f"@{k}" for k in ks)], rows)]
    return parts


def _cell_mean(values: Mapping[str, tuple[float, float]], metric: str) -> str:
    return _cell({metric: (values[metric][0], math.nan)}, metric) if metric in values else "–"


def _sentences(figures: Figures) -> list[str]:
    """Measures of generated sentences beside the errors of ratings, with floors; nothing where no model writes any."""
    if not figures.text_floors:
        return []
    errors = [(label, values) for label, values in figures.models.items() if ERRORS[0] in values]
    only_text = [(label, values) for label, values in figures.models.items() if ERRORS[0] not in values]
    only_text = [(label, values) for label, values in only_text if f"text.{TEXT_METRICS[0]}" in values]
    named = [*errors, *only_text, *((f"*{name}*", values) for name, values in figures.text_floors.items())]
    metrics = [*ERRORS, *(f"text.{name}" for name in TEXT_METRICS)]
    rows = [[name, *(_cell(values, metric) for metric in metrics)] for name, values in named]
    return [
        "## Generated sentences",
        markdown_table(["model", *(name.removeprefix("text.").upper() for name in metrics)], rows),
        "Beside the most telling sentence of each test review that has one. BLEU of the corpus, 0 to 1; ROUGE as mean "
        "F1; USR: different sentences / sentences; FMR: rows whose sentence names a feature word of its reference, of "
        "those whose reference names one; FCR: feature words in any sentence / all; DIV: feature words that two "
        "sentences have in common, less is more diverse. Feature words are found by a rule "
        "(docs/backbones-reviews.md), not annotated.",
    ]


def _unclipped(figures: Figures) -> list[str]:
    rows = []
    for _, name, values in _named(figures):
        if all(f"{metric}_unclipped" in values for metric in ERRORS) and any(
            abs(values[f"{metric}_unclipped"][0] - values[metric][0]) >= 5e-5 for metric in ERRORS
        ):
            rows.append(
                [
                    name,
                    *(
                        _cell(values, f"{metric}{ending}")
                        for metric in ERRORS
                        for ending in ("", "_unclipped")
                    ),
                ]
            )
    if not rows:
        return []
    return [
        "## Predictions that leave the scale",
        markdown_table(["model", "MAE", "MAE unclipped", "RMSE", "RMSE unclipped"], rows),
    ]


def _paired(figures: Figures) -> list[str]:
    if not figures.compared:
        return []
    rows = []
    for one in figures.compared:
        gap = one.difference
        interval = "–" if math.isnan(gap.low) else f"{gap.low:+.4f} to {gap.high:+.4f}"
        values = [f"{gap.reference:.4f}", f"{gap.value:.4f}", f"{gap.difference:+.4f}", interval]
        rows.append([_head(gap.metric), one.label, *values, p_value(one.p_holm, "–"), str(gap.n_users)])
    reference = figures.plan.reference_label
    heads = [
        "metric",
        "model",
        reference,
        "model's",
        "difference",
        "95% interval",
        "p (Holm)",
        "users",
    ]
    return [f"## Against {reference}", markdown_table(heads, rows)]


def _robustness(figures: Figures) -> list[str]:
    if not figures.robust:
        return []
    metrics = [*ERRORS, *(metric for metric in main_metrics(figures.plan) if metric.startswith("p3.ndcg"))]
    rows = []
    for label in dict.fromkeys(one.label for one in figures.robust):
        if label in figures.models:
            rows.append(
                [label, "–", "0%", *(_cell_mean(figures.models[label], metric) for metric in metrics), "–"]
            )
        for one in (row for row in figures.robust if row.label == label):
            shown = [f"{one.means[metric]:.4f}" if metric in one.means else "–" for metric in metrics]
            lost = one.against.get("mae")
            change = "–" if lost is None else f"{lost.difference:+.4f} ({lost.low:+.4f} to {lost.high:+.4f})"
            rows.append([label, one.where, f"{100 * one.share:g}%", *shown, change])
    heads = ["model", "removed at", "share", *(_head(metric) for metric in metrics), "change of MAE"]
    return ["## Reviews removed at random", markdown_table(heads, rows)]


def _notes(figures: Figures) -> list[str]:
    plan = figures.plan
    k = main_metrics(plan)[2].partition("@")[2]
    notes = [
        "Mean ± standard deviation over seeds; each seed draws the split too. In italics: floors, which need no model "
        "(*random order* is its exact expectation; *user + item bias* is ridge regression on the training ratings, its "
        "strength chosen on validation; *ordinal*: the median of a proportional-odds model of both, strength chosen by "
        "MAE on validation). Predictions are clipped to the scale, for every model alike.",
        f"P1: each user's test items among {plan.protocols.negatives} unrated ones, gains 2^r - 1; for F1@{k} and "
        f"binary NDCG items rated {_relevant(figures)} are relevant"
        + ". P2: own test items only; a user with a single one has an NDCG of 1 whatever the model. P3: all items but "
        "those of the user's training and validation rows; every test item is relevant, whatever its rating. Equal "
        "scores are ordered at random (seeded), never by item.",
        "Differences: model minus reference on the same rows; errors over rows with users as clusters, rankings over "
        "users. Seeds are pooled. Items are taken as given: intervals say nothing about other catalogues.",
    ]
    of = counts(figures)
    if of:
        notes.append(
            "Per split: " + ", ".join(f"{value:.0f} {name}" for name, value in of) + ". "
            "Users without a relevant item are left out of F1 and binary NDCG."
        )
    if figures.chosen:
        settings_of_models = "; ".join(
            f"{label}: {', '.join(f'{name} = {value}' for name, value in settings.items())}"
            for label, settings in figures.chosen.items()
        )
        trials = plan.tune.trials if plan.tune else 0
        notes.append(f"Chosen on validation, {trials} trials a model: {settings_of_models}.")
    notes += [f"Failed: {error}" for error in figures.errors]
    return notes


def _relevant(figures: Figures) -> str:
    threshold = figures.plan.protocols.threshold
    return "from four fifths of the scale (4 of 5)" if threshold is None else f"{threshold:g} or more"

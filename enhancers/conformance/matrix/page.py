"""The page that says what holds for which backbone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from burnish.enhancers.weights.loss import RULES
from burnish.enhancers.zoo import list_backbones
from burnish.files.whole import write_text

from ..check import Outcome, definitions
from .columns import about, headings

_SHORT = {
    "passed": "passed",
    "refused": "refused",
    "not applicable": "not applicable",
    "failed": "**failed**",
    "expected failure": "failed as announced",
    "unexpected pass": "**passed unexpectedly**",
}


#: What stands from this line on was written by hand; a page that is written again keeps it.
KEPT = "<!-- written by hand from here on -->"


def write_page(path: Path, outcomes: Sequence[Outcome], weights: Sequence[str] = ()) -> None:
    """Write the Markdown page, whole or not at all; what stands under `KEPT` in an earlier one stays.

    weights: lines about the exactness of weights.
    """
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    kept = f"\n{KEPT}{before.split(KEPT, 1)[1]}" if KEPT in before else ""
    write_text(path, "\n".join(page(outcomes, weights)) + "\n" + kept)


def page(outcomes: Sequence[Outcome], weights: Sequence[str] = ()) -> list[str]:
    """The lines of the page."""
    enhancers = list(dict.fromkeys(outcome.enhancers for outcome in outcomes))
    n_backbones = len({outcome.backbone for outcome in outcomes})
    lines = [
        "# Conformance",
        "",
        "`make conformance` runs every check below on all of RecBole's models with learnable tables, and writes this",
        "page. Each check is a call of `burnish.enhancers.conformance`; yours can be checked with the same calls (see",
        "[attach.md](attach.md#checking-your-own)). The data are synthetic and small: what is checked is that the",
        "attachment keeps its promises, not that anybody's recommendations improve.",
        "`python -m burnish.enhancers.conformance.matrix --enhancers 'shapley: {warmup_epochs: 0}'` runs one column,",
        "an enhancer with options of your choice; with `--outcomes` and `--resume` a run that was stopped goes on.",
        "Both need a checkout: what is installed from a wheel has the checks, but not the matrix.",
        "",
        f"Attached, one column at a time, to {n_backbones} backbones:",
        "",
        *(f"- {about(enhancer)}" for enhancer in enhancers),
        "",
    ]
    lines += _summary(enhancers, outcomes)
    lines += [*weights, ""] if weights else []
    lines += [*_reasons(outcomes), *_grid(enhancers, outcomes)]
    return lines[:-1]


def weights_lines(backbones: Iterable[str]) -> list[str]:
    """How exactly weights enter the losses of these backbones, from the rules that are tested one by one."""
    rules = {name: RULES[name] for name in backbones if name in RULES}
    exact = [name for name, rule in rules.items() if rule.exact]
    exact_interactions = [name for name, rule in rules.items() if rule.exact_interactions]
    lines = [
        "## Exactness of weights",
        "",
        "A weighted loss is exact where its value and the gradient of every parameter are those of the ideal: each",
        "interaction's own term counts its weight, every other term counts as before. The tests compare model by model",
        "(`tests/enhancers/weights/`); [weights.md](weights.md) says how weights get there.",
        "",
        f"- `weigh(batch)`: exact on {len(exact)} of {len(rules)} backbones.",
        f"- `interaction_weights()`: exact on {len(exact_interactions)} of {len(rules)}.",
    ]
    for name, rule in rules.items():
        if not (rule.exact and rule.exact_interactions):
            lines.append(f"- {name}: {rule.note}.")
    return lines


def _summary(enhancers: Sequence[str], outcomes: Sequence[Outcome]) -> list[str]:
    lines = [
        "## What is promised, and how many backbones keep it",
        "",
        "| check | promise | " + " | ".join(headings(enhancers).values()) + " |",
        "|---|---|" + "---|" * len(enhancers),
    ]
    for name, definition in definitions().items():
        mine = [outcome for outcome in outcomes if outcome.check == name]
        if mine:
            cells = [_counted(o.status for o in mine if o.enhancers == enhancer) for enhancer in enhancers]
            lines.append(f"| {name} | {definition.promise} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _counted(statuses: Iterable[str]) -> str:
    """`83 passed, 1 refused`, in the order of `_SHORT`."""
    counts = Counter(statuses)
    return ", ".join(f"{counts[status]} {word}" for status, word in _SHORT.items() if counts[status])


def _reasons(outcomes: Sequence[Outcome]) -> list[str]:
    """What was refused, does not apply or failed: each reason once, with its backbones and enhancers."""
    heading = headings(list(dict.fromkeys(outcome.enhancers for outcome in outcomes)))
    groups: dict[tuple[str, str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for outcome in outcomes:
        if outcome.status != "passed":
            check = "every check" if outcome.status == "refused" else outcome.check
            detail = " ".join(outcome.detail.split()).replace("|", "\\|")
            groups[outcome.status, check, detail][outcome.backbone].add(heading[outcome.enhancers])
    if not groups:
        return []
    lines = [
        "## What did not simply pass",
        "",
        "| | check | backbones | with | reason |",
        "|---|---|---|---|---|",
    ]
    order = list(_SHORT)[::-1]
    for (status, check, detail), backbones in sorted(
        groups.items(), key=lambda group: (order.index(group[0][0]), group[0])
    ):
        attached = ", ".join(sorted(set().union(*backbones.values())))
        lines.append(f"| {status} | {check} | {', '.join(backbones)} | {attached} | {detail[:300]} |")
    return [*lines, ""]


def _grid(enhancers: Sequence[str], outcomes: Sequence[Outcome]) -> list[str]:
    by_cell: dict[tuple[str, str], list[str]] = defaultdict(list)
    for outcome in outcomes:
        by_cell[outcome.backbone, outcome.enhancers].append(outcome.status)
    categories = list_backbones()
    lines = [
        "## Backbone by backbone",
        "",
        "| backbone | kind | " + " | ".join(headings(enhancers).values()) + " |",
        "|---|---|" + "---|" * len(enhancers),
    ]
    for backbone in dict.fromkeys(outcome.backbone for outcome in outcomes):
        cells = [_counted(by_cell[backbone, enhancer]) for enhancer in enhancers]
        lines.append(f"| {backbone} | {categories.get(backbone, 'own')} | " + " | ".join(cells) + " |")
    return [*lines, ""]

"""The page that says what holds for which backbone."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from burnish.enhancers.weighting import RULES
from burnish.enhancers.zoo import list_backbones

from .check import Outcome, definitions

_SIGNS = {
    "passed": "✓",
    "refused": "r",
    "not applicable": "–",
    "failed": "**✗**",
    "expected failure": "x",
    "unexpected pass": "**?**",
}


def write_page(path: Path, outcomes: Sequence[Outcome], weights: Sequence[str] = ()) -> None:
    """Write the Markdown page, whole or not at all.  weights: lines about the exactness of weights."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.write_text("\n".join(page(outcomes, weights)) + "\n", encoding="utf-8")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def page(outcomes: Sequence[Outcome], weights: Sequence[str] = ()) -> list[str]:
    """The lines of the page."""
    lines = [
        "# Conformance",
        "",
        "`make conformance` runs every check below on all of RecBole's models with learnable tables, and writes this",
        "page. Each check is a call of `burnish.enhancers.conformance`; yours can be checked with the same calls (see",
        "[attach.md](attach.md#checking-your-own)). The data are synthetic and small: what is checked is that the",
        "attachment keeps its promises, not that anybody's recommendations improve.",
        "",
    ]
    for enhancer in dict.fromkeys(outcome.enhancers for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.enhancers == enhancer]
        lines += _summary(enhancer, own)
    lines += [*weights, ""] if weights else []
    for enhancer in dict.fromkeys(outcome.enhancers for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.enhancers == enhancer]
        lines += [*_reasons(enhancer, own), *_grid(enhancer, own)]
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
        "(`tests/enhancers/test_weighting*.py`); [weights.md](weights.md) says how weights get there.",
        "",
        f"- `weigh(batch)`: exact on {len(exact)} of {len(rules)} backbones.",
        f"- `interaction_weights()`: exact on {len(exact_interactions)} of {len(rules)}.",
    ]
    for name, rule in rules.items():
        if not (rule.exact and rule.exact_interactions):
            lines.append(f"- {name}: {rule.note}.")
    return lines


_ABOUT = {
    "probe": "`probe` (in the suite) uses every hook: it refines all tables, adds a loss and weighs interactions.",
    "weighing_probe": "`weighing_probe` (in the suite) adds a loss and weighs interactions; it refines nothing.",
    "rvrec": "`rvrec` with its default options.",
    "euclid2d": "`euclid2d` with its default options.",
}


def _summary(enhancer: str, outcomes: Sequence[Outcome]) -> list[str]:
    n = len({outcome.backbone for outcome in outcomes})
    about = _ABOUT.get(enhancer, f"`{enhancer}`.")
    lines = [
        f"## {enhancer}: {n} backbones",
        "",
        about,
        "",
        "| check | what is promised | passed | refused | does not apply | failed |",
        "|---|---|---|---|---|---|",
    ]
    for name, definition in definitions().items():
        found = Counter(outcome.status for outcome in outcomes if outcome.check == name)
        if not found:
            continue
        bad = found["failed"] + found["unexpected pass"] + found["expected failure"]
        cells = (found["passed"], found["refused"], found["not applicable"], bad)
        lines.append(f"| {name} | {definition.promise} | " + " | ".join(str(cell) for cell in cells) + " |")
    return [*lines, ""]


def _reasons(enhancer: str, outcomes: Iterable[Outcome]) -> list[str]:
    """What was refused, does not apply or failed: each reason once, with its backbones."""
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.status != "passed":
            check = "every check" if outcome.status == "refused" else outcome.check
            detail = " ".join(outcome.detail.split()).replace("|", "\\|")
            backbones = groups[outcome.status, check, detail]
            if outcome.backbone not in backbones:
                backbones.append(outcome.backbone)
    if not groups:
        return []
    lines = [
        f"### {enhancer}: what did not simply pass",
        "",
        "| | check | backbones | reason |",
        "|---|---|---|---|",
    ]
    order = ("failed", "unexpected pass", "expected failure", "refused", "not applicable")
    for (status, check, detail), names in sorted(
        groups.items(), key=lambda kv: (order.index(kv[0][0]), kv[0])
    ):
        lines.append(f"| {status} | {check} | {', '.join(names)} | {detail[:300]} |")
    return [*lines, ""]


def _grid(enhancer: str, outcomes: Sequence[Outcome]) -> list[str]:
    checks = [name for name in definitions() if any(outcome.check == name for outcome in outcomes)]
    by_cell = {(outcome.backbone, outcome.check): outcome.status for outcome in outcomes}
    categories = list_backbones()
    lines = [
        f"### {enhancer}: backbone by backbone",
        "",
        "✓ passed, r refused, – does not apply, ✗ failed. Columns: "
        + ", ".join(f"{number} {name}" for number, name in enumerate(checks, 1))
        + ".",
        "",
        "| backbone | kind | " + " | ".join(str(number) for number in range(1, len(checks) + 1)) + " |",
        "|---|---|" + "---|" * len(checks),
    ]
    for backbone in dict.fromkeys(outcome.backbone for outcome in outcomes):
        signs = [_SIGNS[by_cell[backbone, c]] if (backbone, c) in by_cell else "" for c in checks]
        lines.append(f"| {backbone} | {categories.get(backbone, 'own')} | " + " | ".join(signs) + " |")
    return [*lines, ""]

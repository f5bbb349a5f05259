"""What `improve` tries: ways to train a backbone, each with the settings that are worth trying, the usual one first."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from burnish.benchmarks.harness.spaces import Space, candidates
from burnish.training.identity import digest

PLAIN, PRIOR = "plain", "prior"
#: Ways that are no enhancement but what any is held against.
HELD_AGAINST = (PLAIN, PRIOR)
#: Where the softmax's temperature and weight decay are looked for; the first values are the defaults of most data.
TEMPERATURES = [0.2, 0.1, 0.35, 0.15, 0.5]
WEIGHT_DECAYS = [0.0, 1e-5, 1e-4, 3e-5]
#: And where the weight of a loss that regularises by itself is, beside the model's default.
REG_WEIGHTS = [1e-4, 1e-2, 1e-3, 1e-1]
#: RecBole's default, and what it is multiplied by.
LEARNING_RATE, FACTORS = 0.001, (1.0, 2.0, 5.0)
#: A softmax over the catalogue has more to say in a step than a drawn pair: its first rate.
FASTER = (5.0, 2.0, 1.0)


@dataclass(frozen=True)
class Family:
    """One way to train the backbone.

    name: a label that can name a folder.  enhancers: what is attached.  space: settings to try by option, the most
    promising first; a setting of an enhancer is `enhancer.option`.  about: what it is, in words for a person.
    instead_of: a way that comes before it; this one is for backbones with which that one does not go.
    as_well_as: a way that comes before it; this one does not go with backbones with which that one does not.
    """

    name: str
    about: str
    enhancers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    space: Space = field(default_factory=dict)
    instead_of: str | None = None
    as_well_as: str | None = None

    def settings(self, seed: int) -> list[dict[str, Any]]:
        """All points of the space: that of all first values first, the others in an order that the seed draws."""
        first, *others = candidates(self.space, 10**6, seed=0)
        random.Random(f"{seed} {self.name}").shuffle(others)
        return [first, *others]

    @property
    def held_against(self) -> bool:
        """Whether it is no enhancement, but what one has to beat."""
        return self.name in HELD_AGAINST

    def digest(self) -> str:
        """Equal for equal content."""
        return digest([self.name, self.enhancers, self.space, self.instead_of, self.as_well_as])


def families_for(options: Mapping[str, Any], own: float | None = None) -> list[Family]:
    """All ways, plain first; one that does not go with a backbone or its data refuses to be trained, with the reason.

    options: RecBole's, as given; a `learning_rate` among them is the one that is varied.  own: the default of the
    backbone's `reg_weight`, which is then varied in the place of `weight_decay`; None where it has none.
    """
    rate = float(options.get("learning_rate", LEARNING_RATE))
    decay = "weight_decay" if own is None or "weight_decay" in options else "reg_weight"
    usual = WEIGHT_DECAYS if decay == "weight_decay" else list(dict.fromkeys([own, *REG_WEIGHTS]))
    decays = usual if options.get(decay) is None else [float(options[decay])]
    slow: Space = {"learning_rate": [rate * factor for factor in FACTORS], decay: decays}
    rates = [rate * factor for factor in FASTER]
    fast: Space = {"learning_rate": rates, decay: [decays[0]]}
    soft: Space = {"softmax.temperature": TEMPERATURES, **fast}
    base_points = [
        {"softmax.temperature": point["softmax.temperature"], "learning_rate": point["learning_rate"]}
        for point in candidates({"softmax.temperature": TEMPERATURES, "learning_rate": rates}, 100, seed=0)
    ]
    after = "softmax+average"
    line = f"{after}+aggregate"
    taught = {
        "teachers": {"BPR+compress": None},
        "teacher_options": {
            "BPR+compress": {
                "compress.teachers": {"ease": None, line: None},
                "compress.teacher_options": {line: base_points[0]},
            }
        },
    }
    return [
        Family(PLAIN, "the backbone as it is", {}, slow),
        Family(PRIOR, "the backbone with a popularity prior", {"prior": {}}, slow),
        Family("softmax", "trained by a softmax over the catalogue", {"softmax": {}}, soft),
        Family(
            "softmax-average",
            "trained by a softmax, with a running mean of its parameters",
            {"softmax": {}, "average": {}},
            soft,
        ),
        Family(
            "softmax-average-distil",
            "trained by a softmax, learning from EASE beside",
            {"softmax": {}, "average": {}, "distil": {}},
            {**soft, "distil.share": [0.3, 0.1, 0.6]},
        ),
        Family("compress", "tables in closed form from EASE and ItemKNN", {"compress": {}}, {}),
        Family(
            "line",
            "tables in closed form from EASE and a softmax run",
            {"compress": {"teachers": {"ease": None, line: None}}},
            {"compress.teacher_options": [{line: point} for point in base_points]},
            as_well_as="compress",
        ),
        Family(
            "taught",
            "trained by a softmax, learning from BPR's line beside",
            {"softmax": {}, "average": {}, "distil": taught},
            {**soft, "distil.share": [0.6, 1.0, 0.3]},
            instead_of="compress",
        ),
        Family(
            "taught-own-loss",
            "learning from BPR's line beside its own loss",
            {"average": {}, "distil": taught},
            {**slow, "learning_rate": rates, "distil.share": [0.6, 0.3, 0.9]},
            instead_of="compress",
        ),
        Family(
            "aggregate", "the trained backbone, whose users hear from neighbours", {"aggregate": {}}, slow
        ),
        Family(
            "softmax-aggregate",
            "a softmax run, whose users hear from neighbours",
            {"aggregate": {"base": after}},
            {"aggregate.base_options": base_points},
            as_well_as="aggregate",
        ),
        Family(
            "paths",
            "trained by a softmax, with paths in the graph beside",
            {"softmax": {}, "average": {}, "paths": {"mixture": "user"}},
            {**soft, "paths.agree": [0.3, 1.0, 0.1]},
        ),
        Family(
            "guided",
            "trained by a softmax, with the items' scored attributes",
            {"softmax": {}, "average": {}, "guided": {}},
            soft,
        ),
    ]

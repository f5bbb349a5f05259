"""burnish: plug-and-play embedding enhancement for RecBole recommenders.

    from burnish import enhance, run, RVRec

    Model = enhance("LightGCN", RVRec(weight=0.1))
    result = run(Model, dataset="ml-100k")

Importing burnish makes RecBole 1.2.1 work on today's numpy, pandas, scipy and torch (`burnish.compat`) and lets
its configs carry an `enhancers:` block (`burnish.plugin`).  Both take effect when RecBole is imported, before or
after burnish; everything below is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import plugin, speed
from ._version import __version__
from .compat import activate

if TYPE_CHECKING:
    from burnish import data as data
    from burnish.benchmarks.faithfulness.explain_eval import explain_eval
    from burnish.benchmarks.improve.improve import improve
    from burnish.enhancers.aggregate.aggregate import Aggregate
    from burnish.enhancers.attach import enhance
    from burnish.enhancers.average.average import Average
    from burnish.enhancers.bake import bake
    from burnish.enhancers.clean.clean import Clean
    from burnish.enhancers.compress.compress import Compress
    from burnish.enhancers.detach import detach
    from burnish.enhancers.distil.distil import Distil
    from burnish.enhancers.enhancer import Enhancer
    from burnish.enhancers.guided.guided import Guided
    from burnish.enhancers.paths.paths import Paths
    from burnish.enhancers.prior.prior import Prior
    from burnish.enhancers.saving.pretrained import from_pretrained, save_pretrained
    from burnish.enhancers.shapley.shapley import Shapley
    from burnish.enhancers.softmax.softmax import Softmax
    from burnish.enhancers.status import status
    from burnish.enhancers.wasserstein.rvrec import Euclid2d, RVRec
    from burnish.trained.card.card import card
    from burnish.trained.edge_values import edge_values
    from burnish.trained.explain import explain
    from burnish.trained.export import export_embeddings
    from burnish.trained.keyword_profiles import keyword_profiles
    from burnish.trained.recommend import recommend
    from burnish.trained.value import value
    from burnish.training.load import load_run
    from burnish.training.run import run


def _first_runs(*of_trainer: Any) -> None:
    from burnish.training.within import give_first_runs

    give_first_runs(*of_trainer)


activate()
plugin.first_runs = _first_runs
plugin.install()
speed.install()

_HOME = {
    "bake": "burnish.enhancers.bake",
    "detach": "burnish.enhancers.detach",
    "enhance": "burnish.enhancers.attach",
    "from_pretrained": "burnish.enhancers.saving.pretrained",
    "save_pretrained": "burnish.enhancers.saving.pretrained",
    "status": "burnish.enhancers.status",
    "Clean": "burnish.enhancers.clean.clean",
    "Compress": "burnish.enhancers.compress.compress",
    "Distil": "burnish.enhancers.distil.distil",
    "Paths": "burnish.enhancers.paths.paths",
    "Enhancer": "burnish.enhancers.enhancer",
    "Aggregate": "burnish.enhancers.aggregate.aggregate",
    "Average": "burnish.enhancers.average.average",
    "Prior": "burnish.enhancers.prior.prior",
    "Softmax": "burnish.enhancers.softmax.softmax",
    "RVRec": "burnish.enhancers.wasserstein.rvrec",
    "Euclid2d": "burnish.enhancers.wasserstein.rvrec",
    "Guided": "burnish.enhancers.guided.guided",
    "Shapley": "burnish.enhancers.shapley.shapley",
    "card": "burnish.trained.card.card",
    "edge_values": "burnish.trained.edge_values",
    "explain": "burnish.trained.explain",
    "explain_eval": "burnish.benchmarks.faithfulness.explain_eval",
    "export_embeddings": "burnish.trained.export",
    "improve": "burnish.benchmarks.improve.improve",
    "keyword_profiles": "burnish.trained.keyword_profiles",
    "load_run": "burnish.training.load",
    "recommend": "burnish.trained.recommend",
    "run": "burnish.training.run",
    "value": "burnish.trained.value",
}

__all__ = [
    "Aggregate",
    "Average",
    "Clean",
    "Compress",
    "Distil",
    "Enhancer",
    "Euclid2d",
    "Guided",
    "Paths",
    "Prior",
    "RVRec",
    "Shapley",
    "Softmax",
    "__version__",
    "bake",
    "card",
    "detach",
    "edge_values",
    "enhance",
    "explain",
    "explain_eval",
    "export_embeddings",
    "from_pretrained",
    "improve",
    "keyword_profiles",
    "load_run",
    "recommend",
    "run",
    "save_pretrained",
    "status",
    "value",
]


def __getattr__(name: str) -> Any:
    if name == "data":
        return importlib.import_module("burnish.data")
    if name not in _HOME:
        from .errors import no_attribute

        raise no_attribute(__name__, name, __all__)
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOME) | {"data"})

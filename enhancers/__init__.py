"""Enhancers by their classes: `from burnish.enhancers import RVRec`; and `enhance`, which attaches them.

They are loaded when they are first asked for.  `burnish` has the same names.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from burnish.enhancers.aggregate.aggregate import Aggregate as Aggregate
    from burnish.enhancers.attach import enhance as enhance
    from burnish.enhancers.average.average import Average as Average
    from burnish.enhancers.clean.clean import Clean as Clean
    from burnish.enhancers.compress.compress import Compress as Compress
    from burnish.enhancers.distil.distil import Distil as Distil
    from burnish.enhancers.enhancer import Enhancer as Enhancer
    from burnish.enhancers.guided.guided import Guided as Guided
    from burnish.enhancers.options import EnhancerConfig as EnhancerConfig
    from burnish.enhancers.paths.paths import Paths as Paths
    from burnish.enhancers.prior.prior import Prior as Prior
    from burnish.enhancers.shapley.shapley import Shapley as Shapley
    from burnish.enhancers.softmax.softmax import Softmax as Softmax
    from burnish.enhancers.wasserstein.rvrec import Euclid2d as Euclid2d
    from burnish.enhancers.wasserstein.rvrec import RVRec as RVRec

_HOME = {
    "Aggregate": "burnish.enhancers.aggregate.aggregate",
    "Average": "burnish.enhancers.average.average",
    "Clean": "burnish.enhancers.clean.clean",
    "Compress": "burnish.enhancers.compress.compress",
    "Distil": "burnish.enhancers.distil.distil",
    "Enhancer": "burnish.enhancers.enhancer",
    "EnhancerConfig": "burnish.enhancers.options",
    "Euclid2d": "burnish.enhancers.wasserstein.rvrec",
    "Guided": "burnish.enhancers.guided.guided",
    "Paths": "burnish.enhancers.paths.paths",
    "Prior": "burnish.enhancers.prior.prior",
    "RVRec": "burnish.enhancers.wasserstein.rvrec",
    "Shapley": "burnish.enhancers.shapley.shapley",
    "Softmax": "burnish.enhancers.softmax.softmax",
    "enhance": "burnish.enhancers.attach",
}

__all__ = [
    "Aggregate",
    "Average",
    "Clean",
    "Compress",
    "Distil",
    "Enhancer",
    "EnhancerConfig",
    "Euclid2d",
    "Guided",
    "Paths",
    "Prior",
    "RVRec",
    "Shapley",
    "Softmax",
    "enhance",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    from burnish.errors import no_attribute

    raise no_attribute(__name__, name, __all__)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})

"""RecBole models of our own, each by its name: `from burnish.backbones import DReX`.

They are loaded when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from burnish.backbones.deepconn import DeepCoNN as DeepCoNN
    from burnish.backbones.drex.drex import DReX as DReX
    from burnish.backbones.drex.drex_mlp import DReXMLP as DReXMLP
    from burnish.backbones.emf import EMF as EMF
    from burnish.backbones.hrdr import HRDR as HRDR
    from burnish.backbones.narre import NARRE as NARRE
    from burnish.backbones.neighbour_means import NeighbourMeans as NeighbourMeans
    from burnish.backbones.path_walks import PathWalks as PathWalks
    from burnish.backbones.pesi.pesi import PESI as PESI
    from burnish.backbones.rating_model import RatingModel as RatingModel

_HOME = {
    "DReX": "burnish.backbones.drex.drex",
    "DReXMLP": "burnish.backbones.drex.drex_mlp",
    "DeepCoNN": "burnish.backbones.deepconn",
    "EMF": "burnish.backbones.emf",
    "HRDR": "burnish.backbones.hrdr",
    "NARRE": "burnish.backbones.narre",
    "NeighbourMeans": "burnish.backbones.neighbour_means",
    "PathWalks": "burnish.backbones.path_walks",
    "PESI": "burnish.backbones.pesi.pesi",
    "RatingModel": "burnish.backbones.rating_model",
}

__all__ = [
    "EMF",
    "HRDR",
    "NARRE",
    "PESI",
    "DReX",
    "DReXMLP",
    "DeepCoNN",
    "NeighbourMeans",
    "PathWalks",
    "RatingModel",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    from burnish.errors import no_attribute

    raise no_attribute(__name__, name, __all__)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})

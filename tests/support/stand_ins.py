"""Enhancers under the names of floors: small ones whose effect is known, whatever is installed."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from tiny_data import Uneven

from burnish.enhancers.enhancer import EnhancerConfig
from burnish.errors import UnsupportedError


class SoftmaxConfig(EnhancerConfig):
    """Options of `Softmax`."""

    spread: float = 0.5
    temperature: float = Field(default=0.2, gt=0)


class Softmax(Uneven):
    """Trains otherwise than the plain backbone; its temperature does nothing."""

    name = "softmax"
    Config = SoftmaxConfig


class Prior(Uneven):
    """Another one."""

    name = "prior"


class RefusingPrior(Uneven):
    """Refuses every backbone."""

    name = "prior"

    def bind(self, *args: Any, **kwargs: Any) -> None:
        raise UnsupportedError("there is nothing here that a prior could be added to")

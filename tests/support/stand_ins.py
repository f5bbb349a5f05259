"""What stands in: enhancers under the names of floors, whose effect is known; a backbone that is slow."""

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


#: The file of a backbone that is built for minutes, without a word meanwhile.
SLOW = """
import time
from pathlib import Path

from recbole.model.general_recommender import BPR


class Slow(BPR):
    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        Path(__file__).with_name("begun").touch()
        for _ in range(1000):
            time.sleep(0.2)
"""

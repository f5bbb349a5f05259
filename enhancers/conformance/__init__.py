"""The promises of the attachment as named checks, for RecBole's backbones and enhancers and for yours.

from burnish.enhancers.conformance import check_backbone, check_enhancer

@pytest.mark.parametrize("check", check_backbone(MyModel), ids=repr)
def test_my_model(check):
    check()
"""

from __future__ import annotations

from .check import Check, NotApplicableError, Outcome, conformance_check, definitions
from .data import write_data
from .probes import Probe, WeighingProbe
from .suite import REPRESENTATIVE, check_backbone, check_enhancer
from .world import World, build_world

__all__ = [
    "REPRESENTATIVE",
    "Check",
    "NotApplicableError",
    "Outcome",
    "Probe",
    "WeighingProbe",
    "World",
    "build_world",
    "check_backbone",
    "check_enhancer",
    "conformance_check",
    "definitions",
    "write_data",
]

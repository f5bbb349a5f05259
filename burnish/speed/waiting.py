"""OpenMP's threads sleep while they wait, where they would spin."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping


def wait_passively(environment: MutableMapping[str, str] | None = None) -> bool:
    """Let OpenMP's threads sleep, not spin, while they wait; whether that takes effect.

    It counts only before torch is loaded, so the command line says it first thing; a value that is set stays.  On a
    busy machine spinning threads take the very cores that they wait for.  Results do not change.
    """
    environment = os.environ if environment is None else environment
    if "torch" in sys.modules or "OMP_WAIT_POLICY" in environment:
        return False
    environment["OMP_WAIT_POLICY"] = "PASSIVE"
    return True

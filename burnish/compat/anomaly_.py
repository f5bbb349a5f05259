"""torch's anomaly detection, which one of RecBole's models switches on for the whole process."""

from __future__ import annotations

from collections.abc import Iterator

from .mend import import_mend


@import_mend(
    "anomaly-detection",
    library="torch",
    versions="any",
    symptom="importing any sequential model imports SINE, whose module (sine.py:25) switches on autograd's anomaly "
    "detection for good: every operation then records a stack trace and every gradient is searched for NaN",
    modules=("recbole.model.sequential_recommender.sine",),
    applies=lambda: True,
)
def keep_anomaly_detection_as_it_was() -> Iterator[None]:
    """Put the switch back after SINE is imported.  Results do not change; a step of SASRec takes much less time."""
    import torch

    before, check = torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()
    try:
        yield
    finally:
        torch.autograd.set_detect_anomaly(before, check)

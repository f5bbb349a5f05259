"""Importing a sequential model must not switch on autograd's anomaly detection."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys
{first}
import torch
{mended}
torch.autograd.set_detect_anomaly({before})
import recbole.model.sequential_recommender.sasrec
print(torch.is_anomaly_enabled())
"""
NO_RECBOLE_START = (
    "import numpy as np; np.float_ = np.float64; np.complex_ = np.complex128; np.unicode_ = np.str_"
)


@pytest.mark.parametrize(
    ("mended", "before", "after"),
    [("import burnish", False, "False"), ("import burnish", True, "True"), ("", False, "True")],
    ids=["mended", "a user's own choice stays", "RecBole alone shows the symptom"],
)
def test_anomaly_detection_stays_as_it_was(mended, before, after):
    script = SCRIPT.format(first=NO_RECBOLE_START, mended=mended, before=before)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == after, done.stderr

"""RecBole 1.2.1, correct on today's numpy, pandas, scipy and torch, and without ray, dgl or torch_scatter.

`activate()` registers one function a symptom; each runs when the RecBole module that it changes is imported.
Nothing is imported and nothing is changed before that, so `import burnish` stays light.
docs/compatibility.md lists the symptoms.
"""

from __future__ import annotations

from . import (  # noqa: F401  (declare their mends)
    anomaly_,
    dgl_,
    itemknn_,
    knowledge_,
    ksr_,
    metrics_,
    names_,
    numpy_,
    pandas_,
    pop_,
    ray_,
    scatter_,
    scipy_,
    time_,
    torch_,
    whole_times_,
)
from .hook import after_import
from .mend import Mend, State, all_mends, install_all
from .noise import leave_out_harmless

__all__ = ["Mend", "State", "activate", "after_import", "all_mends"]


def activate() -> None:
    """Mend RecBole in this process, imported already or not.  Calling it again does nothing."""
    install_all()
    leave_out_harmless()

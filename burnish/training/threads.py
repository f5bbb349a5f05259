"""How many threads torch should use, from the cores that this process may use.

The rule depends on the machine's limits, never on its load: the order of a sum depends on the number of threads,
and a run should give the same numbers tomorrow.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

#: Somebody who sets one of these has decided.
VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """Cores by the process's affinity and by its control group's quota, whichever is less; at least 1."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        cores = os.cpu_count() or 1
    quota = _quota(cgroup)
    return max(1, cores if quota is None else min(cores, math.floor(quota)))


def _quota(cgroup: Path) -> float | None:
    """Cores' worth of time that the control group grants (version 2, then 1), or None for no limit."""
    try:
        granted, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            granted = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        share = int(granted) / int(period)
    except (ValueError, ZeroDivisionError):  # "max"
        return None
    return share if share > 0 else None


def threads_by_default(current: int, environment: Mapping[str, str] | None = None) -> int | None:
    """Threads to use where nobody chose, or None to leave torch's `current` number.

    torch counts the machine's cores; in a container with a quota, or under an affinity, that is too many, and
    threads without a core keep the others waiting.  A number that is small enough is never raised.
    """
    environment = os.environ if environment is None else environment
    if any(environment.get(name) for name in VARIABLES):
        return None
    cores = usable_cores()
    return cores if cores < current else None

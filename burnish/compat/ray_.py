"""RecBole's quick start imports ray, for one call that only matters inside a ray session."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from . import hook
from .mend import import_mend

_why_broken: dict[str, str | None] = {}


def ray_problem() -> str | None:
    """Why `from ray import tune` fails here, in one line; None when it works.  Tried once a process."""
    if "ray" not in _why_broken:
        _why_broken["ray"] = hook.import_works("ray.tune")
    return _why_broken["ray"]


@import_mend(
    "ray-absent",
    library="ray",
    versions="ray absent, or present and broken",
    symptom="recbole.quick_start does not import: ray <= 2.6.3 has no wheel for Python 3.12",
    modules=("recbole.quick_start.quick_start",),
    applies=lambda: ray_problem() is not None,
)
def stand_in_for_ray() -> Iterator[None]:
    """Show a `ray.tune.report` (quick_start.py:229) while quick_start is imported; leave a working ray alone.

    Afterwards `import ray` says the truth again, to RecBole's users and to other libraries that look for ray.
    """
    ray, tune = ModuleType("ray"), ModuleType("ray.tune")
    tune.report = _report  # type: ignore[attr-defined]
    ray.tune = tune  # type: ignore[attr-defined]
    with hook.stand_ins({"ray": ray, "ray.tune": tune}):
        yield


def _report(*_args: Any, **_metrics: Any) -> None:
    """Outside a ray session ray's own `report` does nothing but warn."""

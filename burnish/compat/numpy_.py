"""numpy 1.24 removed `np.float` and the like, which RecBole reads; numpy 2 removed RecBole's way around it."""

from __future__ import annotations

from types import ModuleType

from .mend import at_least, mend

# What RecBole 1.2.1 sets in numpy (config/configurator.py:628-635), by names that every numpy has.
_ALIASES = {
    "bool": "bool_",
    "int": "int_",
    "float": "float64",
    "complex": "complex128",
    "object": "object_",
    "str": "str_",
    "long": "int_",
    "unicode": "str_",
}


@mend(
    "numpy-aliases",
    library="numpy",
    versions="numpy >= 1.24",
    symptom="no Config can be made (numpy >= 2: np.float_ is gone); one from a checkpoint lacks np.float",
    modules=("recbole.config.configurator",),
    applies=at_least("numpy", 1, 24),
)
def restore_aliases(configurator: ModuleType) -> None:
    """Replace the method that reads the removed names by one that sets the same aliases without them.

    RecBole sets `np.float` and the like for the whole process whenever a Config is made, and its modules read
    them.  They are set now too, because a Config that comes out of a checkpoint is never made.  A name that
    numpy has (again), such as `np.bool`, stays as it is.
    """
    configurator.Config.compatibility_settings = _set_aliases
    _set_aliases()


def _set_aliases(_config: object = None) -> None:
    import numpy as np

    for alias, name in _ALIASES.items():
        if alias not in vars(np):
            setattr(np, alias, getattr(np, name))

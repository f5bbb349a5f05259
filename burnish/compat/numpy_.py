"""numpy 2 removed names that RecBole reads when it makes a Config."""

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
    versions="numpy >= 2",
    symptom="every Config fails: np.float_, np.complex_ and np.unicode_ are gone",
    modules=("recbole.config.configurator",),
    applies=at_least("numpy", 2),
)
def restore_aliases(configurator: ModuleType) -> None:
    """Replace the method that reads the removed names by one that sets the same aliases without them.

    RecBole sets `np.float` and the like for the whole process, in every version, and its modules read them; a
    name that numpy itself has again (`np.bool`, `np.long`) stays as numpy has it.  They are set now too: a
    Config that comes out of a checkpoint is never constructed.
    """
    configurator.Config.compatibility_settings = _set_aliases
    _set_aliases()


def _set_aliases(_config: object = None) -> None:
    import numpy as np

    for alias, name in _ALIASES.items():
        if alias not in vars(np):
            setattr(np, alias, getattr(np, name))

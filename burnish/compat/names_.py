"""Names that look like missing values are names."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from .mend import mend
from .view import ModuleView

#: What stands for a missing number, in any case.
MISSING_NUMBERS = frozenset({"", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "<na>"})
_SPELLED = sorted(
    {way(word) for word in MISSING_NUMBERS for way in (str, str.upper, str.title)} | {"NaN", "-NaN"}
)


class _Pandas(ModuleView):
    """pandas as it is, but only an empty cell of a text column is a missing one."""

    def read_csv(self, *args: Any, dtype: Any = None, **options: Any) -> Any:
        if isinstance(dtype, dict) and not {"na_values", "keep_default_na"} & set(options):
            missing = {column: [""] if kind is str else _SPELLED for column, kind in dtype.items()}
            options |= {"na_values": missing, "keep_default_na": False}
        return self.viewed.read_csv(*args, dtype=dtype, **options)


@mend(
    "names-like-missing-values",
    library="recbole",
    versions="1.2.1",
    symptom="silent: users and items called NA, null, nan or None are dropped with all their interactions "
    "(dataset.py:482 reads them as missing)",
    modules=("recbole.data.dataset.dataset",),
    applies=lambda: True,
)
def keep_names(module: ModuleType) -> None:
    """Read only empty cells of token columns as missing; numbers may be missing in the usual words."""
    seen: ModuleType = vars(module)["pd"]
    vars(module)["pd"] = seen if isinstance(seen, _Pandas) else _Pandas(seen)

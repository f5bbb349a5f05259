"""pandas 3 changed what RecBole's data sets rely on: a column is a copy, and `Series.agg` asks the series.

Only RecBole's own modules see these changes; pandas itself stays as it is.  That pandas 3 reads text as its
own str type needs no mend: the data sets came out equal (docs/compatibility.md).
"""

from __future__ import annotations

import builtins
from types import ModuleType
from typing import Any

from .mend import at_least, ignore, mend
from .view import ModuleView

_DATASET = "recbole.data.dataset.dataset"
_SINCE_3 = at_least("pandas", 3)


class _Pandas(ModuleView):
    """pandas as it is, but for blank cells of the columns that RecBole splits into sequences."""

    def read_csv(self, *args: Any, **options: Any) -> Any:
        frame = self.viewed.read_csv(*args, **options)
        for column in frame.columns:  # still "field:type", as in the file
            if str(column).endswith("_seq"):
                frame[column] = frame[column].fillna("")
        return frame


@mend(
    "pandas-blank-sequences",
    library="pandas",
    versions="pandas >= 3",
    symptom="a blank token_seq or float_seq cell stops the loading (dataset.py:501: fillna on a copy)",
    modules=(_DATASET,),
    applies=_SINCE_3,
)
def read_blank_sequences(dataset: ModuleType) -> None:
    """Read a blank cell of a sequence column as the empty text, so that it becomes an empty sequence."""
    seen: ModuleType = vars(dataset)["pd"]
    vars(dataset)["pd"] = seen if isinstance(seen, _Pandas) else _Pandas(seen)


@mend(
    "pandas-blank-cells",
    library="pandas",
    versions="pandas >= 3",
    symptom="silent: blank float cells stay NaN, blank token cells become -2**63 (dataset.py:648, 650)",
    modules=(_DATASET,),
    applies=_SINCE_3,
)
def fill_blank_cells(dataset: ModuleType) -> None:
    """Replace `Dataset._fill_nan`: the same rules, written to the frame instead of to a copy of a column."""
    dataset.Dataset._fill_nan = _fill_nan


def _fill_nan(self: Any) -> None:
    """Token cells become 0 (padding), float cells the mean of their column, sequence cells empty arrays."""
    import numpy as np
    from recbole.utils import FeatureType

    for name in self.feat_name_list:
        frame = getattr(self, name)
        for column in frame:
            kind = self.field2type[column]
            values = frame[column]
            if kind == FeatureType.TOKEN:
                frame[column] = values.fillna(0)
            elif kind == FeatureType.FLOAT:
                frame[column] = values.fillna(values.mean())
            else:
                empty = np.array([], dtype=np.int64 if kind == FeatureType.TOKEN_SEQ else np.float64)
                frame[column] = [empty if isinstance(cell, float) else cell for cell in values]


@mend(
    "pandas-warnings",
    library="pandas",
    versions="pandas >= 2.2",
    symptom="harmless: reading data warns of assignments to copies, which are mended here, and of deprecated arguments",
    modules=(_DATASET,),
    applies=at_least("pandas", 2, 2),
)
def silence_what_is_mended(dataset: ModuleType) -> None:
    """Leave out two warnings: `fill_blank_cells` writes to the frame, and dropping in place works as it did."""
    ignore("A value is trying to be set on a copy of a DataFrame or Series through chained", FutureWarning)
    ignore("The inplace keyword in ", DeprecationWarning)


@mend(
    "pandas-agg-len",
    library="pandas",
    versions="pandas >= 3",
    symptom="every token_seq or float_seq column fails: Series.agg(len) is the length of the series",
    modules=(
        _DATASET,
        "recbole.data.dataset.kg_dataset",
        "recbole.data.dataset.sequential_dataset",
    ),
    applies=_SINCE_3,
)
def aggregate_lengths(module: ModuleType) -> None:
    """Let `len` in these three modules answer for the cells of a Series, which is what `agg(len)` asks for.

    Nowhere do they take the length of a Series in another sense.
    """
    module.len = _length  # type: ignore[attr-defined]


def _length(sized: Any) -> Any:
    import pandas

    return sized.map(builtins.len) if isinstance(sized, pandas.Series) else builtins.len(sized)

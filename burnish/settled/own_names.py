"""Options of RecBole that name columns, as the tables called them that `burnish data csv` made a data set of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from burnish.files.data_names import OwnColumns, columns_beside

#: `{file: [columns]}`.
_BY_FILE = ("load_col", "unload_col", "unused_col")
#: Columns, with the file that they are of where it is always one; mappings by column.
_LISTS = {
    "normalize_field": None,
    "numerical_features": None,
    "seq_len": None,
    "val_interval": None,
    "threshold": None,
    "discretization": None,
    "alias_of_user_id": None,
    "alias_of_item_id": None,
    "alias_of_entity_id": None,
    "alias_of_relation_id": None,
    "selected_features": "item",
    "item_attribute": "item",
    "item_text_fields": "item",
}
#: Options that are one column end so.
_ONE = "_FIELD"


def name_columns(config: Any) -> None:
    """Let the options that were given name columns as the files do; called before anything is settled by them."""
    given: dict[str, Any] = config.external_config_dict
    asked = [name for name in given if name in _LISTS or name in _BY_FILE or name.endswith(_ONE)]
    if not asked:
        return
    options = {**config.internal_config_dict, **given}
    own = columns_beside(Path(str(options.get("data_path") or "")) / config.dataset, config.dataset)
    if own.files:
        for name in asked:
            given[name] = _renamed(own, name, given[name])


def _renamed(own: OwnColumns, name: str, value: Any) -> Any:
    if name in _BY_FILE and isinstance(value, Mapping):
        return {source: _each(own, names, str(source)) for source, names in value.items()}
    return _each(own, value, _LISTS.get(name))


def _each(own: OwnColumns, value: Any, file: str | None) -> Any:
    if isinstance(value, str):
        return own.written(value, file=file)
    if isinstance(value, Mapping):
        return {_each(own, key, file): one for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_each(own, one, file) if isinstance(one, str) else one for one in value]
    return value

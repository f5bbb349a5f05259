"""The modalities that a config asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from burnish.backbones.configured_texts import open_tokens
from burnish.errors import ConfigurationError, DataError, unknown_name

from .modalities import DenseFeatures, Modality, RatingModality, ReviewModality, TextOfItems


def make_modalities(model: Any, config: Any, dataset: Any, levels: Tensor) -> nn.ModuleDict:
    """The modalities of `config["modalities"]`, by name and in that order.

    Raises `UnknownNameError` for a name that is none, `ConfigurationError` for no modality or one named twice, and
    `DataError` for one that the data set has nothing for.
    """
    makers: dict[str, Callable[[], Modality]] = {
        "review": lambda: _reviews(model, config, dataset),
        "rating": lambda: RatingModality(levels, model.size),
        "item_text": lambda: _text_of_items(model, config, dataset),
        "item_features": lambda: _dense(model, config, dataset, "item"),
        "user_features": lambda: _dense(model, config, dataset, "user"),
    }
    names = config["modalities"]
    if isinstance(names, str):
        names = [names]
    if not isinstance(names, Sequence) or not names or len(set(names)) < len(names):
        raise ConfigurationError(
            f"modalities = {names!r}: name at least one, each once, as in [review, rating]"
        )
    for name in names:
        if name not in makers:
            raise unknown_name("modality", str(name), makers)
    return nn.ModuleDict({name: makers[name]() for name in names})


def _reviews(model: Any, config: Any, dataset: Any) -> Modality:
    if not model.texts:
        raise DataError(
            f"data set {dataset.dataset_name!r}: no training interaction has a review; go on without them with "
            f"modalities: [rating]"
        )
    return ReviewModality(open_tokens(model.texts, config), model.size)


def _text_of_items(model: Any, config: Any, dataset: Any) -> Modality:
    fields = config["item_text_fields"]
    known = (
        [] if dataset.item_feat is None else [f for f in dataset.item_feat.columns if f != dataset.iid_field]
    )
    missing = [field for field in fields if field not in known]
    if missing or not fields:
        raise DataError(
            f"item_text_fields = {fields!r}: data set {dataset.dataset_name!r} has the item columns "
            f"{', '.join(known) or '(none)'}; name some of them, and list them in load_col.item if that is set"
        )
    texts = [
        " ".join(_words(dataset, field, item) for field in fields).strip() for item in range(model.n_items)
    ]
    numbers: dict[str, int] = {}
    places = [numbers.setdefault(text, len(numbers)) if text else -1 for text in texts]
    if not numbers:
        raise DataError(f"item_text_fields = {fields!r}: these columns are empty for every item")
    return TextOfItems(open_tokens(list(numbers), config), places, model.size)


def _words(dataset: Any, field: str, item: int) -> str:
    """What a column says of an item (0 is none), as text."""
    if item == 0:
        return ""
    value = dataset.item_feat[field][item]
    if field in dataset.field2id_token:
        numbers = torch.as_tensor(value).reshape(-1).tolist()
        return " ".join(str(dataset.field2id_token[field][number]) for number in numbers if number)
    return " ".join(f"{number:g}" for number in torch.as_tensor(value).reshape(-1).tolist())


def _dense(model: Any, config: Any, dataset: Any, side: str) -> Modality:
    field = dataset.iid_field if side == "item" else dataset.uid_field
    n = model.n_items if side == "item" else model.n_users
    known = config["preload_weight"] or {}
    names = [name for name in known if name == field or name in dataset.alias.get(field, ())]
    if not names:
        raise DataError(
            f"modalities: {side}_features needs a vector a {side}, and preload_weight = {known!r} names none for "
            f"{field!r}; list their file in additional_feat_suffix, with preload_weight: {{ID COLUMN: VECTOR COLUMN}} "
            f"and alias_of_{side}_id: [ID COLUMN], as RecBole has it for pre-trained vectors"
        )
    values = dataset.get_preload_weight(names[0])
    vectors = torch.as_tensor(values).float()
    if vectors.dim() != 2 or len(vectors) != n or not bool(torch.isfinite(vectors).all()):
        raise DataError(
            f"modalities: {side}_features: the preloaded vectors of {field!r} are {tuple(vectors.shape)} and must be "
            f"finite, one a {side} ({n} with the padding row)"
        )
    return DenseFeatures(vectors, side, model.size)

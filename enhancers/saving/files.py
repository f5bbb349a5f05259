"""The files of saved enhancers: what is in them, written whole or not at all, read without trusting them.

enhancers.safetensors   every parameter and persistent buffer of the enhancers
tokens.json             user and item tokens in the order of their ids
enhancers.json          format, names, options, tables, and the checksums of the other two
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field
from torch import Tensor

from burnish.enhancers.anatomy.table import Side
from burnish.errors import BurnishError, DataError
from burnish.files.jsons import parse_json
from burnish.files.whole import written_whole
from burnish.strict import Strict, validated

from .tokens import Tokens

FORMAT = "burnish-enhancers"
VERSION = 1
MANIFEST, TENSORS, TOKENS = "enhancers.json", "enhancers.safetensors", "tokens.json"


class SavedTable(Strict):
    """A table that enhancers are bound to: `rows` of `width` numbers."""

    name: str
    side: Side
    width: int
    rows: int


class SavedEnhancer(Strict):
    """One enhancer: its options, and which of its tensors have a row for each user or item."""

    name: str
    options: dict[str, Any]
    row_tensors: dict[str, Side]


class Manifest(Strict):
    """Everything in `enhancers.json`.

    step: training steps done.  output: widths of propagated embeddings, for enhancers that refine those.
    checksums: SHA-256 of the two other files, by name.
    code: of enhancers that are a person's own, by name, digests of the files of their source.
    """

    format: str
    version: int
    burnish: str
    backbone: str
    step: int
    output: tuple[int, int] | None
    tables: list[SavedTable]
    enhancers: list[SavedEnhancer]
    checksums: dict[str, str]
    code: dict[str, dict[str, str]] = Field(default_factory=dict)


def version() -> str:
    """The version of burnish that is installed."""
    return importlib.metadata.version("burnish")


def write(folder: Path, manifest: Manifest, tensors: Mapping[str, Tensor], tokens: Tokens) -> None:
    """Write the three files; the manifest comes last, so that an interrupted write is noticed when read.

    Raises `ConfigurationError` when the folder cannot be written.
    """
    from safetensors.torch import save

    contents = {
        TENSORS: save({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}),
        TOKENS: json.dumps({"user": tokens.user, "item": tokens.item}, ensure_ascii=False).encode(),
    }
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    complete = manifest.model_copy(update={"checksums": checksums})
    unknown = set() if complete.code else {"code"}  # to a burnish of before, which reads the rest
    contents[MANIFEST] = (complete.model_dump_json(indent=2, exclude=unknown) + "\n").encode()
    with contextlib.ExitStack() as files:
        # They take their places in the reverse order, once all of them are complete.
        for name in reversed(contents):
            files.enter_context(written_whole(folder / name)).write_bytes(contents[name])


def read(folder: Path) -> tuple[Manifest, dict[str, Tensor], Tokens]:
    """The contents of the three files, checked.

    Raises `DataError` for a file that is missing, changed, cut short, foreign or of a newer format.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    manifest = _manifest(_bytes(folder, MANIFEST), folder)
    contents = {name: _bytes(folder, name) for name in (TENSORS, TOKENS)}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != manifest.checksums.get(name):
            raise DataError(
                f"{folder / name} does not belong to {MANIFEST} beside it: it was cut short, changed, or comes from "
                f"another save; save the enhancers again"
            )
    try:
        tensors = load(contents[TENSORS])
        listed = parse_json(contents[TOKENS])
        tokens = Tokens(tuple(listed["user"]), tuple(listed["item"]))
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: {TENSORS} or {TOKENS} cannot be read: {error}") from error
    return manifest, tensors, tokens


def _bytes(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        others = sorted(file.name for file in folder.iterdir())[:5] if folder.is_dir() else []
        inside = f"it has {', '.join(others)}" if others else "it is empty or does not exist"
        raise DataError(
            f"{str(folder)!r} has no file {name!r} ({inside}); give the folder that save_pretrained wrote"
        ) from None
    except OSError as error:
        raise DataError(f"cannot read {folder / name}: {error}") from error


def _manifest(content: bytes, folder: Path) -> Manifest:
    file = folder / MANIFEST
    try:
        plain = parse_json(content)
    except ValueError as error:
        raise DataError(
            f"{file} is not JSON ({error}); it was cut short, or is not a file of burnish"
        ) from error
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        raise DataError(f"{file} was not written by save_pretrained: it does not say format {FORMAT!r}")
    number = plain.get("version")
    if not isinstance(number, int) or number > VERSION:
        raise DataError(
            f"{file} has format version {number!r}, written by burnish {plain.get('burnish')}; this burnish reads "
            f"up to {VERSION}: install a newer one"
        )
    try:
        return validated(Manifest, plain, str(file), kind="key")
    except BurnishError as error:
        raise DataError(str(error)) from error

"""`save_pretrained` and `from_pretrained`: what burnish added to a model, and nothing else.

Tensors go into safetensors and settings into JSON, so reading a folder runs no code from it.  Rows that belong
to users or items are matched by token: ids may run in another order when the enhancers come back.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.attach import (
    Recipe,
    attach,
    enhance,
    enhancer_from,
    is_enhanced,
    recipe_of,
    split_enhanced,
)
from burnish.enhancers.detach import host_of
from burnish.enhancers.host import Host
from burnish.enhancers.registry import is_own, make_enhancers
from burnish.enhancers.zoo import find_backbone
from burnish.errors import ConfigurationError, DataError, UnsupportedError, warn
from burnish.own.classes import loaded_only, shown
from burnish.own.sources import changed_files, source_files

from .files import FORMAT, VERSION, Manifest, SavedEnhancer, SavedTable, read, version, write
from .tokens import Missing, Tokens, move_rows
from .trusted import is_pickle, read_recbole_checkpoint

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.dataset import Dataset


def save_pretrained(model: nn.Module, folder: str | Path, dataset: Dataset) -> Path:
    """Save the enhancers of a model: their tensors, options, the tables they are bound to, and the tokens.

    The backbone's own tables are not saved: RecBole's checkpoint has them.  Of enhancers of one's own digests of the
    source are noted.

    Parameters
    ----------
    model
        An enhanced model.
    folder
        Made when it is missing; an earlier save in it is replaced.
    dataset
        RecBole's data set that the model was made with (`train_data._dataset`), for the tokens.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    ConfigurationError
        For a model without enhancers, a data set of another size or a folder that cannot be written.
    UnsupportedError
        For an enhancer that keeps something other than dense tensors.

    Examples
    --------
    >>> run = burnish.load_run("out")  # doctest: +SKIP
    >>> burnish.save_pretrained(run.model, "enhancers", run.train._dataset)  # doctest: +SKIP
    """
    host = host_of(model, "save_pretrained")
    host.places.check()
    anatomy, tokens = host.anatomy, Tokens.of(dataset)
    if (len(tokens.user), len(tokens.item)) != (anatomy.n_users, anatomy.n_items):
        raise ConfigurationError(
            f"save_pretrained: the data set has {len(tokens.user) - 1} users and {len(tokens.item) - 1} items, the "
            f"model {anatomy.n_users - 1} and {anatomy.n_items - 1}; give the data set that the model was made with"
        )
    tensors = _tensors(host)
    manifest = Manifest(
        format=FORMAT,
        version=VERSION,
        burnish=version(),
        backbone=anatomy.backbone,
        step=host.state.step,
        output=anatomy.output if any(e.refines_output() for e in host.enhancers()) else None,
        tables=[SavedTable(name=t.name, side=t.side, width=t.width, rows=t.count) for t in anatomy.tables],
        enhancers=[
            SavedEnhancer(
                name=e.name, options=e.config.model_dump(mode="json"), row_tensors=_row_tensors(e, anatomy)
            )
            for e in host.enhancers()
        ],
        checksums={},
        code={e.name: _short(source_files(type(e))) for e in host.enhancers() if is_own(type(e))},
    )
    write(Path(folder), manifest, tensors, tokens)
    return Path(folder)


def from_pretrained(
    folder: str | Path,
    model: nn.Module | type | str,
    dataset: Dataset,
    *,
    config: Config | None = None,
    missing: Missing = "error",
    trust: bool = False,
) -> nn.Module:
    """Give saved enhancers back to a backbone.

    The model is changed only after everything was checked.  Where the source of an enhancer of one's own is not what it
    was when it was saved, a warning names the file.

    Parameters
    ----------
    folder
        What `save_pretrained` wrote.
    model
        A plain model, to which they are attached in place; or a model that has the same enhancers, whose tensors are
        replaced; or the class or name of a backbone, of which a new model is made.
    dataset
        RecBole's training split for this model; its ids may run in another order than when saving.
    config
        RecBole's configuration; by default the data set's.
    missing
        What to do about users or items that have no saved row: "error", or "keep" what the model has for them.
    trust
        Also read a RecBole checkpoint of an enhanced model in place of `folder`.  Such a file is a pickle and can run
        any code, so this warns; it has no tokens, so its ids must run in the same order.

    Returns
    -------
    torch.nn.Module
        The model with the enhancers, the given one where a model was given.

    Raises
    ------
    DataError
        For files that cannot be read, or tokens that do not match.
    UnsupportedError
        For another backbone or other tables.
    ConfigurationError
        For a model with other enhancers.

    Examples
    --------
    >>> run = burnish.load_run("out")  # doctest: +SKIP
    >>> data = run.train._dataset  # doctest: +SKIP
    >>> model = burnish.from_pretrained("enhancers", "BPR", data)  # doctest: +SKIP
    """
    if missing not in ("error", "keep"):
        raise ConfigurationError(f"missing={missing!r}: give 'error' or 'keep'")
    now = Tokens.of(dataset)
    config = config if config is not None else dataset.config
    saved = _read(Path(folder), now, trust)
    recipe = _recipe(saved.manifest, Path(folder))
    enhanced, added = _model(model, saved.manifest, recipe, config, dataset)
    host = host_of(enhanced, "from_pretrained")
    _tell_changed_code(saved.manifest, host, Path(folder))
    try:
        _check_tables(saved.manifest, host.anatomy)
        state = _state(saved, host, now, missing)
    except BaseException:
        if added:
            from burnish.enhancers.detach import detach

            detach(enhanced)
        raise
    with torch.no_grad():
        host.load_state_dict(state)
    host.forget()
    return enhanced


def _short(files: dict[str, str]) -> dict[str, str]:
    """Digests with the ends of the paths alone: a folder that is handed on tells nothing of where it was made."""
    ends = {file: "/".join(Path(file).parts[-2:]) for file in files}
    taken = list(ends.values())
    return {file if taken.count(ends[file]) > 1 else ends[file]: digest for file, digest in files.items()}


def _tell_changed_code(manifest: Manifest, host: Host, folder: Path) -> None:
    """Warn where an enhancer of a person's own is not what it was when it was saved."""
    told = [
        f"{shown(file)} (enhancer {one.name!r})"
        for one in host.enhancers()
        for file in changed_files(manifest.code.get(one.name, {}), source_files(type(one)))
    ]
    if told:
        warn(
            f"{' and '.join(told)} changed since the enhancers in {folder} were saved: their tensors are used with "
            f"the code as it is now, which may give other results. Put the code back as it was, or train anew"
        )


class _Saved:
    """What was read: `before` is None where the file has no tokens."""

    def __init__(self, manifest: Manifest, tensors: dict[str, Tensor], before: Tokens | None) -> None:
        self.manifest, self.tensors, self.before = manifest, tensors, before


def _tensors(host: Host) -> dict[str, Tensor]:
    """The enhancers' state without what only training needs: `rvrec.log_scale` and so on."""
    tensors = {}
    left_out = _training_keys(host)
    for key, value in host.attached.state_dict().items():
        if key in left_out:
            continue
        if not isinstance(value, Tensor) or value.layout != torch.strided:
            kind = "a sparse tensor" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise UnsupportedError(
                f"save_pretrained: {key!r} is {kind}; an enhancer's state must consist of dense tensors"
            )
        tensors[key] = value
    return tensors


def _training_keys(host: Host) -> set[str]:
    """Names, in the enhancers' state, of what only training needs.

    Raises `UnsupportedError` where scores depend on it: where it holds the weights of a graph's edges.
    """
    for enhancer in host.enhancers():
        if enhancer.propagates and enhancer.training_tensors():
            raise UnsupportedError(
                f"enhancer {enhancer.name!r} weighs the edges of the graph, one a training interaction, and these "
                f"cannot be saved apart from their training split; keep RecBole's own checkpoint (load_data_and_model)"
            )
    return {f"{e.name}.{name}" for e in host.enhancers() for name in e.training_tensors()}


def _row_tensors(enhancer: Any, anatomy: Anatomy) -> dict[str, Any]:
    """The enhancer's declaration, checked against its tensors."""
    state, declared = enhancer.state_dict(), enhancer.row_tensors()
    for name, side in declared.items():
        wanted = anatomy.n_users if side == "user" else anatomy.n_items
        if name not in state or state[name].dim() == 0 or state[name].shape[0] != wanted:
            shape = list(state[name].shape) if name in state else "not there"
            raise ConfigurationError(
                f"enhancer {enhancer.name!r}: row_tensors names {name!r} as one row a {side} ({wanted}), but "
                f"it is {shape}"
            )
    return dict(declared)


def _read(path: Path, now: Tokens, trust: bool) -> _Saved:
    if not path.is_file():
        return _Saved(*read(path))
    if not is_pickle(path):
        raise DataError(f"{str(path)!r} is a file; give the folder that save_pretrained wrote")
    if not trust:
        raise DataError(
            f"{str(path)!r} is a pickle, as RecBole's checkpoints are, and reading it can run any code in it. Give a "
            f"folder that save_pretrained wrote, or trust=True if you know where the file comes from."
        )
    warnings.warn(f"reading {str(path)!r} can run code from it; trust=True was given", stacklevel=3)
    manifest, tensors = read_recbole_checkpoint(path)
    return _Saved(manifest, tensors, None)


def _recipe(manifest: Manifest, folder: Path) -> Recipe:
    if not manifest.enhancers:
        raise DataError(f"{folder} holds no enhancer")
    with loaded_only(trust=False):  # no name in a folder is imported
        return recipe_of(make_enhancers({saved.name: saved.options for saved in manifest.enhancers}))


def _model(
    model: nn.Module | type | str, manifest: Manifest, recipe: Recipe, config: Config, dataset: Dataset
) -> tuple[nn.Module, bool]:
    """The model with the enhancers on it, and whether they were put onto a model that existed."""
    cls: Any = find_backbone(model) if isinstance(model, str | type) else type(model)
    base, attached = split_enhanced(cls)
    if base.__name__ != manifest.backbone:
        raise UnsupportedError(
            f"the enhancers were saved from {manifest.backbone} and cannot go onto {base.__name__}: their networks "
            f"belong to its tables. Give a {manifest.backbone}."
        )
    if attached and attached != recipe:
        raise ConfigurationError(
            f"this {base.__name__} has enhancers {_described(attached)}, the folder {_described(recipe)}; give a plain "
            f"{base.__name__} or one with the same enhancers and options"
        )
    if not isinstance(model, nn.Module):
        if str(config["model"]) != base.__name__:
            raise ConfigurationError(
                f"the configuration is for {config['model']}, and a {base.__name__} is to be made; give config="
            )
        enhanced = enhance(base, *(enhancer_from(*part) for part in recipe))
        return enhanced(config, dataset).to(config["device"]), False
    if is_enhanced(model):
        return model, False
    return attach(model, recipe, config, dataset), True


def _described(recipe: Recipe) -> str:
    enhancers = [enhancer_from(*part) for part in recipe]
    return ", ".join(f"{enhancer.name}({enhancer.extra_repr()})" for enhancer in enhancers)


def _check_tables(manifest: Manifest, anatomy: Anatomy) -> None:
    now = {table.name: table for table in anatomy.tables}
    for saved in manifest.tables:
        table = next((t for t in anatomy.tables if (t.name, t.side) == (saved.name, saved.side)), None)
        if table is None:
            raise UnsupportedError(
                f"the enhancers were saved from a {manifest.backbone} with a {saved.side} table {saved.name!r}; this "
                f"one has {', '.join(now) or 'no table'}"
            )
        if table.width != saved.width:
            raise UnsupportedError(
                f"table {saved.name!r} has width {table.width} here and {saved.width} in the saved enhancers; make the "
                f"{manifest.backbone} with the size it was saved with (embedding_size or hidden_size)"
            )
    if manifest.output is not None and manifest.output != anatomy.output:
        raise UnsupportedError(
            f"propagated embeddings have widths {anatomy.output} here and {manifest.output} in the saved enhancers"
        )


def _state(saved: _Saved, host: Host, now: Tokens, missing: Missing) -> dict[str, Any]:
    """A state dict for the host, with every tensor checked and rows in today's order."""
    state: dict[str, Any] = {"_extra_state": torch.tensor(saved.manifest.step)}
    wanted = host.attached.state_dict()
    rows = {
        f"{e.name}.{name}": side for e in saved.manifest.enhancers for name, side in e.row_tensors.items()
    }
    if saved.before is None and any(e.row_tensors() for e in host.enhancers()):
        raise DataError(
            "the checkpoint holds rows of single users or items and no tokens to match them by; load it with RecBole's "
            "load_data_and_model and save its enhancers with save_pretrained"
        )
    kept = _training_keys(host)
    later = {f"{e.name}.{name}" for e in host.enhancers() for name in e.later_tensors}
    absent = later & (set(wanted) - set(saved.tensors))
    differ = sorted((set(wanted) ^ set(saved.tensors)) - kept - absent)
    if differ:
        where = "the file" if differ[0] in wanted else "the enhancer"
        raise DataError(f"tensor {differ[0]!r} is missing from {where}; both must come from the same version")
    for key, current in wanted.items():
        if key in kept:
            state[f"attached.{key}"] = current
            continue
        if key in absent:
            continue
        tensor = saved.tensors[key]
        if key in rows and saved.before is not None:
            before, after = saved.before.side(rows[key]), now.side(rows[key])
            if len(tensor) != len(before):
                raise DataError(f"tensor {key!r} has {len(tensor)} rows for {len(before)} {rows[key]}s")
            if tensor.shape[1:] == current.shape[1:]:
                tensor = move_rows(tensor, current, before, after, side=rows[key], missing=missing)
        if tensor.shape != current.shape:
            raise DataError(
                f"tensor {key!r} has shape {list(tensor.shape)} in the file and {list(current.shape)} in this model. "
                f"If it has a row for each user or item, its enhancer must say so in `row_tensors`."
            )
        if key not in rows and saved.before is not None:
            _warn_of_rows(key, tensor, saved.before, now)
        state[f"attached.{key}"] = tensor
    return state


def _warn_of_rows(key: str, tensor: Tensor, before: Tokens, now: Tokens) -> None:
    """Ids run in another order now, and a tensor that may have a row for each of them was not declared."""
    for side in ("user", "item"):
        old, new = before.side(side), now.side(side)
        if old != new and tensor.dim() > 0 and tensor.shape[0] == len(new):
            warnings.warn(
                f"tensor {key!r} has as many rows as there are {side}s, whose ids run in another order now than when "
                f"it was saved. If its rows belong to {side}s, its enhancer must say so in `row_tensors`.",
                stacklevel=5,
            )

"""What `burnish run` is asked to do: the command line and the configuration files, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, Any

from burnish.errors import ConfigurationError, UnknownNameError, nearest
from burnish.files.yamls import is_yaml, read_yaml

from .parse_options import merge_enhancers, parse_options

if TYPE_CHECKING:
    import typer

    from burnish.training.record import SavedRun

#: Options of RecBole's run_recbole.py for several processes, with the only value that is right here.
_PROCESSES = {"nproc": 1, "world_size": -1, "ip": None, "port": None, "group_offset": None}


@dataclass(frozen=True)
class RunRequest:
    """One training run, complete: what `burnish.training.train.train` needs."""

    model: str | type
    dataset: str
    enhancers: dict[str, Any]
    config_files: tuple[Path, ...]
    options: dict[str, Any]
    seed: int | None


def split_files(text: str | None) -> tuple[Path, ...]:
    """The files of `a.yaml,b.yaml`; RecBole's own separator, the blank, works when all parts are files."""
    if not text:
        return ()
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if len(parts) == 1 and not Path(parts[0]).exists():
        words = parts[0].split()
        if all(Path(word).exists() for word in words):
            parts = words
    return tuple(Path(part) for part in parts)


def _block(content: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    block = content.get("enhancers")
    if block is None:
        return {}
    if isinstance(block, str):
        return {name.strip(): None for name in block.split(",") if name.strip()}
    if isinstance(block, list) and all(isinstance(name, str) for name in block):
        return dict.fromkeys(block)
    if not isinstance(block, dict):
        raise ConfigurationError(
            f"{path}: enhancers: {block!r} is not a block; write `enhancers: {{rvrec: {{weight: 0.1}}}}`"
        )
    return block


def _named(block: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """The block with places of one's own classes replaced by their names."""
    from burnish.own.classes import is_place, named_by

    if not any(is_place(name) for name in block):
        return block
    from burnish.enhancers.registry import named_block

    with named_by(path):
        return named_block(block)


def own_class(name: Any, path: Path | None = None) -> type | None:
    """The model class of a place that a person gave (`mine.py:Tower`); None for another name.

    path: the file that names it, which is told.
    """
    from burnish.own.classes import is_place, named_by

    if not is_place(name):
        return None
    from burnish.enhancers.zoo import find_backbone

    with named_by(path):
        return find_backbone(name)


def _required(name: str, value: Any, example: str) -> Any:
    if value is None:
        raise ConfigurationError(
            f"no {name} is given; say --{name} {example}, or write `{name}: {example}` into a config file"
        )
    return value if isinstance(value, type) else str(value)


def _reject_processes(options: dict[str, Any]) -> None:
    for name, accepted in _PROCESSES.items():
        if name in options and options.pop(name) != accepted:
            raise ConfigurationError(f"--{name}: burnish run trains in one process; leave this option out")


def refuse_misspelt(request: RunRequest, context: typer.Context) -> None:
    """Raise for a typed option that nobody reads: `--outptu` for the verb's `--output`, `--epoch` for `--epochs`.

    An option that nobody reads would be a warning only, and the run another than was asked for.
    """
    from burnish.enhancers.zoo import find_backbone, list_backbones
    from burnish.training.options import recbole_options, unknown_options
    from burnish.training.options import refuse_misspelt as refuse

    if not request.options or request.model not in list_backbones():
        return
    own = [word.lstrip("-") for one in context.command.params for word in one.opts if word.startswith("--")]
    names = {word.replace("-", "_"): word for word in own}
    model = find_backbone(request.model)
    for name, other in unknown_options(request.options, model).items():
        if name in recbole_options():  # of another model: no misspelling, and a warning
            continue
        guess = nearest(name, names)
        if guess is not None and (other is None or _likeness(name, guess) >= _likeness(name, other)):
            dashed = name.replace("_", "-")
            written = name if dashed == names[guess] else dashed
            raise UnknownNameError(f"option --{written} is not known. Did you mean --{names[guess]}?")
    refuse(request.options, [model], dashes=True)


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one.lower(), other.lower()).ratio()


def _refuse_file(options: Mapping[str, Any]) -> None:
    """Raise for `--config my.yaml`: nobody reads it, and what the file says would be missed before it is."""
    for name, value in options.items():
        if name.startswith("conf") and isinstance(value, str) and is_yaml(Path(value)):
            raise UnknownNameError(
                f"option --{name.replace('_', '-')} is not known. Did you mean --config-files {value}?"
            )


def make_request(
    *,
    model: str | None,
    dataset: str | None,
    enhancers: str | None,
    config_files: str | None,
    seed: int | None,
    words: Sequence[str],
    earlier: SavedRun | None = None,
) -> RunRequest:
    """Put the command line over the configuration files, of which later ones win.

    words: the options that the verb does not know, RecBole's and `--enhancers.NAME.OPTION`.
    A model or enhancer that is given by its place (`mine.py:Tower`) is imported here.
    earlier: the run to be resumed, which has the model, the data set and the enhancers where nothing else is said.
    Raises `ConfigurationError` for anything that cannot be understood.
    """
    files = split_files(config_files)
    merged: dict[str, Any] = {}
    block: Mapping[str, Any] = {}
    for path in files:
        content = read_yaml(path)
        merged.update(content)
        if "enhancers" in content:
            block = _named(_block(content, path), path)
        own = None if model is not None else own_class(content.get("model"), path)
        if own is not None:
            merged["model"] = own
    options, enhancer_options = parse_options(words)
    _reject_processes(options)
    _refuse_file(options)
    if earlier is not None:
        merged = {"model": earlier.model, "dataset": earlier.dataset, **merged}
        block = block or earlier.enhancers
    own = own_class(model)
    return RunRequest(
        model=own or _required("model", model or merged.get("model"), "BPR"),
        dataset=_required("dataset", dataset or merged.get("dataset"), "ml-100k"),
        enhancers=merge_enhancers(block, enhancers, enhancer_options),
        config_files=files,
        options=options,
        seed=seed,
    )

"""Plain backbones that enhancers begin from: trained first with the same options, or read from a run's folder."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from burnish.enhancers.attach import enhancers_of
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.errors import ConfigurationError, DataError
from burnish.enhancers.yamls import read_yaml

from .portable import read_file, unpack
from .result import Epoch
from .saved import MODEL_FILE, check_data, class_name, read_run
from .specs import computing, digest

AUTO = "auto"
#: Where the base of a run lies in the run's own folder.
FOLDER = "base"


@dataclass(frozen=True)
class BaseRequest:
    """How a plain backbone is trained: its class, and RecBole's options from files and arguments."""

    model: type
    dataset: str
    files: tuple[str, ...]
    options: Mapping[str, Any]

    def digest(self) -> str:
        """Equal for equal results."""
        options: dict[str, Any] = {}
        for file in self.files:
            options |= read_yaml(file)
        options = computing({**options, **self.options})
        return digest({"model": class_name(self.model), "dataset": self.dataset, "options": options})


@dataclass(frozen=True)
class Base:
    """A trained plain backbone: its state by plain keys, the data it was trained on, and how long that took.

    own: trained here with the options of the run that begins from it, so on the same split of equal data.
    """

    source: str
    weights: Mapping[str, Tensor]
    data: Mapping[str, Any]
    seconds: float
    own: bool

    def give(self, model: Any, data: Mapping[str, Any], *, dataset: str) -> None:
        """Let the enhancers of a model that was just built begin from it.

        data: the fingerprint of the data set that the model was built for; `DataError` where it is another, or where
        the base was trained on other rows of it, which may be the model's validation or test rows.
        """
        try:
            check_data(self.data, data, dataset)
        except DataError as error:
            cure = " Or remove that folder: the base is then trained anew." if self.own else ""
            raise DataError(f"base = {self.source!r}: {error}{cure}") from error
        # Its epoch was chosen on its validation rows: these must not be test rows of this run either.
        chosen_on = self.data.get("validation", data.get("validation"))
        if self.data.get("training") != data["training"] or chosen_on != data.get("validation"):
            raise DataError(
                f"base = {self.source!r} was trained on another split of {dataset!r} than this run is, so it may know "
                f"rows that are tested on here; give a run with the same seed and eval_args, or base: auto"
            )
        self._put_into(model)
        for enhancer in model.enhancers.enhancers():
            if enhancer.base_run() is not None:
                enhancer.take_base()

    def _put_into(self, model: Any) -> None:
        own = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
        for name, value in self.weights.items():
            if name in own and own[name].shape != value.shape:
                raise ConfigurationError(
                    f"base = {self.source!r}: its {name!r} is {tuple(value.shape)}, and the backbone's is "
                    f"{tuple(own[name].shape)}; train the base with the same options"
                )
        with torch.no_grad():
            for name, value in self.weights.items():
                if name in own:
                    own[name].copy_(value)


def begin_from(
    request: BaseRequest,
    enhanced: type,
    target: Path | None,
    bases: Path | str | None,
    save_every: int,
    on_epoch: Callable[[Epoch], None] | None,
) -> Base | None:
    """The base that the enhancers of a class ask for; None where they ask for none.

    target: folder of the run that is to begin from it.  bases: folder of all bases of a comparison.
    Raises `ConfigurationError` where enhancers ask for different ones, or for a run of another backbone.
    """
    wish, others = _wish(enhancers_of(enhanced))
    if wish is None:
        return None
    if wish != AUTO:
        return _read(Path(wish), request.model)
    request = replace(request, options={**request.options, **others})
    if bases is not None:
        return _trained(request, Path(bases) / request.digest(), 0, on_epoch)
    if target is not None:
        return _trained(request, target / FOLDER, save_every, on_epoch)
    with tempfile.TemporaryDirectory(prefix="burnish-base-") as folder:
        return _trained(request, Path(folder), 0, on_epoch)


def _wish(recipes: Iterable[Enhancer[Any]]) -> tuple[str | None, Mapping[str, Any]]:
    """Which base is asked for, and the options of its own."""
    asking = [recipe for recipe in recipes if recipe.base_run() is not None]
    wishes = [(recipe.base_run(), dict(recipe.base_options())) for recipe in asking]
    if any(wish != wishes[0] for wish in wishes):
        said = ", ".join(
            f"{recipe.name}: {wish} {options or ''}".rstrip()
            for recipe, (wish, options) in zip(asking, wishes, strict=True)
        )
        raise ConfigurationError(f"enhancers ask for different bases ({said}); give all of them the same one")
    return wishes[0] if wishes else (None, {})


def _trained(
    request: BaseRequest, folder: Path, save_every: int, on_epoch: Callable[[Epoch], None] | None
) -> Base:
    """The base in a folder, trained there unless it is there already; an interrupted one goes on."""
    from .resume import latest_state
    from .training import resume, train

    started = time.perf_counter()
    state = _state_of(folder, request)
    if state == "unfinished" and latest_state(folder) is not None:
        resume(folder, model=request.model, on_epoch=on_epoch, save_every=max(save_every, 1))
    elif state != "finished":
        train(
            request.model,
            request.dataset,
            enhancers={},
            config_files=request.files,
            options=request.options,
            folder=folder,
            on_epoch=on_epoch,
            evaluate_test=False,
            save_every=save_every,
        )
    return _read(folder, request.model, time.perf_counter() - started, own=True)


def _state_of(folder: Path, request: BaseRequest) -> str:
    """What a folder holds: a `finished` or `unfinished` run of this request, or `nothing` of use."""
    note = folder / "base.json"
    if note.is_file() and json.loads(note.read_text(encoding="utf-8")).get("digest") == request.digest():
        try:
            return "finished" if read_run(folder).finished else "unfinished"
        except DataError:
            return "nothing"
    folder.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"digest": request.digest()}) + "\n", encoding="utf-8")
    return "nothing"


def _read(folder: Path, model: type, seconds: float = 0.0, *, own: bool = False) -> Base:
    saved = read_run(folder)
    if saved.model != class_name(model):
        raise ConfigurationError(
            f"base = {str(folder)!r} is a run of {saved.model}, not of {class_name(model)}"
        )
    if saved.enhancers:
        raise ConfigurationError(
            f"base = {str(folder)!r} is a run with enhancers ({', '.join(saved.enhancers)}); give a plain one"
        )
    path = folder / MODEL_FILE
    if not path.is_file():
        raise DataError(
            f"base = {str(folder)!r} holds no trained weights ({MODEL_FILE}): train it to its end"
        )
    tree, tensors = read_file(path, "the weights of a trained model")
    found = {name: unpack(value, tensors) for name, value in tree["state"].items()}
    weights = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    return Base(str(folder), weights, saved.data, seconds, own)

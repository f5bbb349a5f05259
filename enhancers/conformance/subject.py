"""What is checked: a backbone with enhancers, and how to build, train and score it."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from burnish.enhancers.attach import enhance, split_enhanced
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.kept_embeddings import clear_kept
from burnish.randomness import forked_randomness, in_fixed_order

from .check import NotApplicableError, require
from .data import PERMUTED
from .world import World, build_world

#: Training interactions that are scored.
_PAIRS = 48


@dataclass(frozen=True)
class Subject:
    """One backbone with the enhancers to attach.

    folder: where data and files go.  options: RecBole options over the preset.  category, data: see `build_world`.
    """

    backbone: type
    enhancers: tuple[Enhancer[Any], ...]
    folder: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    category: str | None = None
    data: str | None = None

    @property
    def attached_names(self) -> str:
        """Names of the enhancers, separated by commas, each with the options that are not the defaults."""
        return written(self.enhancers)

    @property
    def label(self) -> str:
        """Backbone and enhancers."""
        return f"{self.backbone.__name__}[{self.attached_names}]"

    def plain(self, **options: Any) -> World:
        """The backbone alone, freshly made."""
        return self._build(self.backbone, options)

    def attached(self, **options: Any) -> World:
        """The enhanced backbone, freshly made."""
        return self._build(self.enhanced_class(), options)

    def enhanced_class(self) -> type:
        """The class to check."""
        return enhance(self.backbone, *self.enhancers)

    def trained(self, **options: Any) -> World:
        """The enhanced backbone after one epoch."""
        return train(self.attached(**options))

    def permuted(self) -> Subject:
        """The same subject on data whose ids RecBole numbers in another order."""
        if self.data is not None:
            raise NotApplicableError("the data are the caller's own; only the synthetic ones are shuffled")
        return replace(self, data=PERMUTED)

    def _build(self, model: type, options: Mapping[str, Any]) -> World:
        return build_world(
            model,
            self.folder,
            options={**self.options, **options},
            category=self.category,
            data=self.data,
        )


def written(enhancers: Iterable[Enhancer[Any]]) -> str:
    """Enhancers as YAML that the matrix reads back: names, each with the options that are not the defaults."""
    return ",".join(_written(enhancer) for enhancer in enhancers)


def _written(enhancer: Enhancer[Any]) -> str:
    options = enhancer.config.model_dump(mode="json", exclude_defaults=True)
    if not options:
        return enhancer.name
    text = yaml.safe_dump(options, default_flow_style=True, sort_keys=False, width=10**6)
    return f"{enhancer.name}: {text.strip()}"


def train(world: World) -> World:
    """Train for the configured epochs, validation included; nothing is saved.  Gives the same world."""
    with in_fixed_order(torch.device(world.config["device"])):
        world.trainer.fit(world.train, world.valid, verbose=False, saved=False, show_progress=False)
    return world


def in_epoch(model: Any) -> Any:
    """The model in training mode, told of its first epoch as RecBole's trainers tell it."""
    model.train()
    if hasattr(model, "begin_epoch"):
        model.begin_epoch(0)
    return model


def pairs(world: World) -> Any:
    """Training interactions to score, with every field that the model reads."""
    dataset = world.train._dataset
    rows = torch.arange(min(_PAIRS, len(dataset.inter_feat)))
    loader = getattr(world.train, "general_dataloader", world.train)
    with forked_randomness(0, torch.device("cpu")):  # some transforms mask or crop at random
        batch = loader.transform(dataset, dataset.join(dataset.inter_feat[rows]))
    return batch.to(world.config["device"])


def part(batch: Any, start: int, stop: int) -> Any:
    """Rows `start` to `stop` of a batch; knowledge batches hold columns of two lengths."""
    return type(batch)({name: column[start:stop] for name, column in batch.interaction.items()})


def scores(world: World, model: Any = None) -> dict[str, Tensor]:
    """Scores of training interactions: by `predict`, and by `full_sort_predict` where the backbone has it.

    model: another model of the same world; random numbers, where scoring draws any, are the same at each call.
    """
    model = world.model if model is None else model
    model.eval()
    clear_kept(model)  # some models draw random numbers for what they keep from an evaluation
    by_method: dict[str, Tensor] = {}
    for name in ("predict", "full_sort_predict"):
        with forked_randomness(0, torch.device(world.config["device"])), torch.no_grad():
            try:
                by_method[name] = getattr(model, name)(pairs(world)).clone()
            except (NotImplementedError, AssertionError):  # the CPR models assert that nobody asks for pairs
                continue
    if not by_method:
        raise NotApplicableError("the backbone neither predicts pairs nor ranks all items")
    return by_method


def assert_equal_scores(
    left: Mapping[str, Tensor], right: Mapping[str, Tensor], *, close: bool = False
) -> None:
    """AssertionError unless both hold the same scores: bit for bit, or with `close` to float32 accuracy."""
    require(left.keys() == right.keys(), f"one scores by {sorted(left)}, the other by {sorted(right)}")
    for name, one in left.items():
        other = right[name]
        if torch.equal(one, other) or (close and _close(one, other)):
            continue
        gap = float((one - other).abs().max()) if one.shape == other.shape else float("nan")
        raise AssertionError(f"{name} differs by up to {gap:.3g} (scores up to {float(one.abs().max()):.3g})")


def _close(one: Tensor, other: Tensor) -> bool:
    scale = max(float(one.abs().max()), 1e-3)
    return one.shape == other.shape and bool(((one - other).abs() <= 2e-6 * scale + 1e-7).all())


def copied_state(model: Any) -> dict[str, Tensor]:
    """A copy of the state dict, tensors only."""
    return {name: value.clone() for name, value in model.state_dict().items() if isinstance(value, Tensor)}


def assert_equal_states(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> None:
    """AssertionError, naming the first entry, unless both state dicts agree bit for bit."""
    require(list(left) == list(right), f"state dicts have other entries: {sorted(set(left) ^ set(right))}")
    for name, value in left.items():
        require(_same_bits(value, right[name]), f"{name} of the state dict differs")


def _same_bits(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool(((one == other) | (one.isnan() & other.isnan())).all())


def loss_of(model: Any, batch: Any) -> Tensor:
    """The sum of the model's losses on a batch (MKR has no `calculate_loss`; RecVAE asks which half to train)."""
    if getattr(model, "user_centroids", 0) is None:
        model.e_step()  # NCL's trainer clusters before it asks for a loss
    calculate = getattr(model, "calculate_rs_loss", None) or model.calculate_loss
    plain: Any = split_enhanced(type(model))[0]
    parameters = (
        inspect.signature(plain.calculate_loss).parameters if hasattr(plain, "calculate_loss") else {}
    )
    extra = [True] if "encoder_flag" in parameters else []
    losses = calculate(copy.copy(batch), *extra)
    return torch.stack([loss.sum() for loss in losses]).sum() if isinstance(losses, Sequence) else losses

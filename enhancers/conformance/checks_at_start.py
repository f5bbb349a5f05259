"""Promises about an enhanced model that has not been trained yet."""

from __future__ import annotations

import copy
import pickle
import random
from typing import Any

import numpy as np
import torch

from burnish.enhancers.attach import enhancer_options, is_enhanced

from .check import NotApplicableError, conformance_check, require
from .subject import (
    Subject,
    assert_equal_scores,
    assert_equal_states,
    copied_state,
    in_epoch,
    loss_of,
    part,
    scores,
    train,
)
from .world import World


@conformance_check("attaches", "The enhanced model is built, and every enhancer is on it.")
def attaches(subject: Subject) -> None:
    model = subject.attached().model
    require(is_enhanced(model), f"{type(model).__name__} carries no enhancers")
    names = [enhancer.name for enhancer in model.enhancers.enhancers()]
    require(names == [enhancer.name for enhancer in subject.enhancers], f"attached are {names}")


@conformance_check(
    "identity at start", "Before training, scores are those of the plain backbone, bit for bit."
)
def identity_at_start(subject: Subject) -> None:
    plain, attached = subject.plain(), subject.attached()
    _excuse(attached, "identity at start")
    backbone_state = copied_state(plain.model)
    kept = {name: value for name, value in copied_state(attached.model).items() if name in backbone_state}
    assert_equal_states(backbone_state, kept)
    assert_equal_scores(scores(plain), scores(attached))


@conformance_check(
    "same random stream",
    "Batches, negatives and dropout of a training epoch are those of the plain backbone.",
)
def same_random_stream(subject: Subject) -> None:
    _excuse(subject.attached(), "same random stream")
    ends = []
    for build in (subject.plain, subject.attached):
        world = build()
        start = _random_state()
        train(world)
        ends.append((start, _random_state()))
    (plain_start, plain_end), (start, end) = ends
    require(start == plain_start, "building the enhanced model moved a random stream")
    require(end == plain_end, "training the enhanced model drew other random numbers than the plain one")


def _excuse(attached: World, check: str) -> None:
    """Raise `NotApplicableError` where an enhancer declares that it does not make this promise here."""
    for enhancer in attached.model.enhancers.enhancers():
        if check in enhancer.exceptions():
            raise NotApplicableError(f"{enhancer.name} declares: {enhancer.exceptions()[check]}")


def _random_state() -> tuple[Any, ...]:
    numpy_state: Any = np.random.get_state()
    return (
        bytes(torch.get_rng_state().numpy()),
        bytes(np.asarray(numpy_state[1])),
        numpy_state[2:],
        random.getstate(),
    )


@conformance_check(
    "config round-trip", "An `enhancers:` block with the model's options gives the same class."
)
def config_round_trip(subject: Subject) -> None:
    cls = subject.enhanced_class()
    again = subject._build(subject.backbone, {"enhancers": enhancer_options(cls)})
    require(again.config.model_class is cls, f"the options {enhancer_options(cls)} give another class")
    require(
        again.config["enhancers"] == enhancer_options(cls),
        f"the config holds {again.config['enhancers']}, the class {enhancer_options(cls)}",
    )


@conformance_check("copies and pickles", "A deep copy scores the same, and the class comes through a pickle.")
def copies_and_pickles(subject: Subject) -> None:
    world = subject.attached()
    try:
        copy.deepcopy(subject.plain().model)
    except (RuntimeError, TypeError) as error:
        raise NotApplicableError(f"the plain backbone cannot be copied: {error}") from error
    assert_equal_scores(scores(world), scores(world, copy.deepcopy(world.model)))
    cls = subject.enhanced_class()
    require(pickle.loads(pickle.dumps(cls)) is cls, f"{cls.__name__} unpickles as another class")


@conformance_check("one-row batch", "A batch of one interaction gives a finite loss.")
def one_row_batch(subject: Subject) -> None:
    plain = subject.plain()
    plain.model.train()
    try:
        own = loss_of(plain.model, part(plain.batch(), 0, 1))
    except (ValueError, RuntimeError, IndexError, TypeError) as error:
        raise NotApplicableError(f"the plain backbone fails on one row: {error}") from error
    if not bool(torch.isfinite(own).all()):
        raise NotApplicableError("the plain backbone's loss of one row is not finite")
    attached = subject.attached()
    loss = loss_of(in_epoch(attached.model), part(attached.batch(), 0, 1))
    require(bool(torch.isfinite(loss).all()), f"the loss is {loss}")


@conformance_check("float64", "In double precision, loss and scores are float64 and finite.")
def float64(subject: Subject) -> None:
    try:
        plain = _in_float64(subject.plain())
    except (RuntimeError, TypeError, ValueError) as error:
        raise NotApplicableError(f"the plain backbone does not run in float64: {error}") from error
    if plain["loss"].dtype != torch.float64:
        raise NotApplicableError(
            f"the plain backbone computes its loss in {plain['loss'].dtype} even in float64"
        )
    attached = _in_float64(subject.attached())
    require(attached["loss"].dtype == torch.float64, f"the loss is {attached['loss'].dtype}")
    for name, values in attached.items():
        require(bool(torch.isfinite(values).all()), f"{name} is not finite")


def _in_float64(world: World) -> dict[str, torch.Tensor]:
    model = _double(world.model)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # models make constants of the default type in every step
    try:
        return {"loss": loss_of(in_epoch(model), _double_batch(world.batch())), **scores(world)}
    finally:
        torch.set_default_dtype(before)


def _double(model: Any) -> Any:
    """The model in float64, with the tensors that RecBole's models keep as plain attributes (graphs, histories)."""
    for module in model.double().modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                setattr(module, name, value.double())
    return model


def _double_batch(batch: Any) -> Any:
    for name, column in batch.interaction.items():
        if column.is_floating_point():
            batch.interaction[name] = column.double()
    return batch

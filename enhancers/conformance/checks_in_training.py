"""Promises about an enhanced model that trains and is evaluated."""

from __future__ import annotations

import math

import torch

from .check import conformance_check, require
from .reloading import need_sound_checkpoints, read
from .subject import (
    Subject,
    assert_equal_scores,
    assert_equal_states,
    copied_state,
    in_epoch,
    loss_of,
    scores,
    train,
)
from .world import World


@conformance_check(
    "trains and evaluates", "One epoch has a finite loss, and evaluation gives finite metrics."
)
def trains_and_evaluates(subject: Subject) -> None:
    world = train(subject.attached())
    losses = [float(loss) for loss in world.trainer.train_loss_dict.values()]
    require(bool(losses), "nothing was trained")
    require(all(math.isfinite(loss) for loss in losses), f"losses are {losses}")
    result = world.trainer.evaluate(world.test, load_best_model=False)
    require(all(math.isfinite(value) for value in result.values()), f"metrics are {dict(result)}")


@conformance_check("gradients arrive", "Training steps give every parameter of every enhancer a gradient.")
def gradients_arrive(subject: Subject) -> None:
    world = subject.attached()
    in_epoch(world.model)
    for _ in range(8):  # LINE trains one or another of its tables, by chance
        loss_of(world.model, world.batch()).backward()
        if all(p.grad is not None for p in world.model.enhancers.parameters() if p.requires_grad):
            break
    for enhancer in world.model.enhancers.enhancers():
        learned = {name: p for name, p in enhancer.named_parameters() if p.requires_grad}
        without = [name for name, p in learned.items() if p.grad is None]
        require(not without, f"{enhancer.name}: no gradient reaches {without[:5]}")
        moved = any(bool((p.grad != 0).any()) for p in learned.values() if p.grad is not None)
        require(moved or not learned, f"{enhancer.name}: every gradient is zero")


@conformance_check("padding untouched", "After training, row 0 of every refined table reads as it is stored.")
def padding_untouched(subject: Subject) -> None:
    model = train(subject.attached()).model.eval()
    with torch.no_grad():
        for table in model.enhancers.anatomy.tables:
            first = table.raw()[0]
            require(torch.equal(read(table)[0], first), f"row 0 of {table.name!r} was refined")


@conformance_check(
    "evaluation is pure", "Scoring twice gives the same bits and changes no parameter or buffer."
)
def evaluation_is_pure(subject: Subject) -> None:
    world = train(subject.attached())
    world.model.eval()  # where means are kept, the parameters hold them from here on
    before = copied_state(world.model)
    first = scores(world)
    world.trainer.evaluate(world.test, load_best_model=False)
    assert_equal_scores(first, scores(world))
    assert_equal_states(before, copied_state(world.model))


@conformance_check(
    "nothing stale", "After parameters change, scores are those of a new model with these parameters."
)
def nothing_stale(subject: Subject) -> None:
    need_sound_checkpoints(subject)
    world = train(subject.attached())
    scores(world)  # fills whatever is kept between calls
    with torch.no_grad():
        for parameter in world.model.parameters():
            if parameter.requires_grad:
                parameter.mul_(1.01)
    world.model.train()
    fresh = _restored(subject, world)
    assert_equal_scores(scores(fresh), scores(world), close=True)


def _restored(subject: Subject, world: World) -> World:
    fresh = subject.attached()
    fresh.model.load_state_dict(world.model.state_dict())
    fresh.model.load_other_parameter(world.model.other_parameter())
    fresh.model.train()
    return fresh


@conformance_check("same seed, same result", "Training twice with one seed gives the same bits.")
def same_seed_same_result(subject: Subject) -> None:
    one, other = (train(subject.attached()) for _ in range(2))
    assert_equal_states(copied_state(one.model), copied_state(other.model))
    require(
        one.trainer.train_loss_dict == other.trainer.train_loss_dict,
        f"losses are {one.trainer.train_loss_dict} and {other.trainer.train_loss_dict}",
    )

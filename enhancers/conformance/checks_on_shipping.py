"""Promises about an enhanced model that leaves the process: checkpoints, detaching, baking, saving."""

from __future__ import annotations

import pickletools
import zipfile
from pathlib import Path
from typing import Any

import torch

from burnish.enhancers.attach import is_enhanced

from .check import NotApplicableError, conformance_check, require
from .reloading import load, need_sound_checkpoints, read, reloaded
from .subject import (
    Subject,
    assert_equal_scores,
    assert_equal_states,
    copied_state,
    scores,
    train,
)
from .world import World


@conformance_check(
    "checkpoint reloads",
    "RecBole's own checkpoint of the enhanced model loads and scores the same, bit for bit.",
)
def checkpoint_reloads(subject: Subject) -> None:
    need_sound_checkpoints(subject)
    world = train(subject.attached())
    loaded = reloaded(world)
    require(is_enhanced(loaded), "what was loaded has no enhancers")
    assert_equal_scores(scores(world), scores(world, loaded))


@conformance_check("detaches", "Detached, the model is the plain class with the bits that are stored.")
def detaches(subject: Subject) -> None:
    from burnish.enhancers.detach import detach

    plain, attached = subject.plain(), subject.attached()
    model: Any = detach(attached.model)
    require(type(model) is subject.backbone, f"the class is {type(model)!r}")
    assert_equal_states(copied_state(plain.model), copied_state(model))
    assert_equal_scores(scores(plain), scores(attached, model))
    trained = train(subject.attached())
    stored = {
        name: value for name, value in copied_state(trained.model).items() if name in copied_state(model)
    }
    assert_equal_states(stored, copied_state(detach(trained.model)))


@conformance_check("bakes", "Baked after training, the plain model scores as the enhanced one did.")
def bakes(subject: Subject) -> None:
    world = train(subject.attached())
    baked: Any = _baked(subject, world)
    require(type(baked) is subject.backbone, f"the class is {type(baked)!r}")
    require(
        list(copied_state(baked)) == list(copied_state(subject.plain().model)),
        "other entries in the state dict",
    )
    assert_equal_scores(scores(world), scores(world, baked), close=True)


def _baked(subject: Subject, world: World) -> Any:
    from burnish.enhancers.bake import bake

    for enhancer in world.model.enhancers.enhancers():
        if not enhancer.bakeable:
            raise NotApplicableError(f"enhancer {enhancer.name!r} declares that it cannot be baked")
    return bake(world.model)


@conformance_check(
    "baked checkpoint is plain",
    "A baked model's checkpoint names nothing of burnish, but the backbone's own package; RecBole loads and scores it.",
)
def baked_checkpoint_is_plain(subject: Subject) -> None:
    from burnish.enhancers.saving.plain_checkpoint import write_plain_checkpoint

    need_sound_checkpoints(subject)
    world = train(subject.attached())
    baked = _baked(subject, world)
    file = subject.folder / "saved" / f"{subject.backbone.__name__}-baked.pth"
    write_plain_checkpoint(baked, file, world.config, {})
    named = burnish_names(file, subject.backbone)
    require(not named, f"the checkpoint names {named[:3]}")
    loaded = load(file)
    require(type(loaded) is subject.backbone, f"the class is {type(loaded)!r}")
    assert_equal_scores(scores(world, baked), scores(world, loaded))


def burnish_names(file: Path, backbone: type) -> list[str]:
    """Strings in the pickles of a torch file that name a module or a class of burnish.

    A backbone of burnish's own needs its package, plain as it is: names of that package do not count.
    """
    own = ".".join(backbone.__module__.split(".")[:2]) + "."
    names = []
    with zipfile.ZipFile(file) as archive:
        for entry in archive.namelist():
            if entry.endswith(".pkl"):
                for _, argument, _ in pickletools.genops(archive.read(entry)):
                    if isinstance(argument, str) and argument.startswith("burnish."):
                        names += [] if argument.startswith(own) else [argument]
    return names


@conformance_check(
    "saves and loads", "What burnish added, saved alone, makes the same scores on the same backbone."
)
def saves_and_loads(subject: Subject) -> None:
    from burnish.enhancers.saving.pretrained import from_pretrained, save_pretrained

    need_sound_checkpoints(subject)
    world = train(subject.attached())
    world.model.eval()  # where means are kept, the parameters hold them from here on
    folder = subject.folder / "saved" / f"{subject.backbone.__name__}-enhancers"
    save_pretrained(world.model, folder, world.train._dataset)
    fresh = subject.plain()
    own = {
        name: value for name, value in world.model.state_dict().items() if name in fresh.model.state_dict()
    }
    fresh.model.load_state_dict(own)
    fresh.model.load_other_parameter(world.model.other_parameter())
    model = from_pretrained(folder, fresh.model, fresh.train._dataset, config=fresh.config)
    assert_equal_scores(scores(world), scores(fresh, model))


@conformance_check(
    "other order of ids",
    "Loaded where ids have other numbers, rows of the same user or item are refined the same.",
)
def other_order_of_ids(subject: Subject) -> None:
    from burnish.enhancers.saving.pretrained import from_pretrained, save_pretrained

    world = train(subject.attached())
    world.model.eval()  # where means are kept, the parameters hold them from here on
    folder = subject.folder / "saved" / f"{subject.backbone.__name__}-enhancers"
    save_pretrained(world.model, folder, world.train._dataset)
    other = subject.permuted().plain()
    model: Any = from_pretrained(folder, other.model, other.train._dataset, config=other.config)
    tables = list(zip(world.model.enhancers.anatomy.tables, model.enhancers.anatomy.tables, strict=True))
    moved = {side: _moved(world, other, side) for side in ("user", "item")}
    with torch.no_grad():
        for here, there in tables:
            there.raw()[moved[there.side]] = here.raw()
        world.model.train().eval()
        model.train().eval()
        for here, there in tables:
            gap = float((read(here) - read(there)[moved[there.side]]).abs().max())
            require(gap < 1e-5, f"rows of {here.name!r} are refined to vectors up to {gap:.3g} apart")


def _moved(world: World, other: World, side: str) -> torch.Tensor:
    """Where each id of one world is in the other: `[n]`."""
    field = world.config["USER_ID_FIELD" if side == "user" else "ITEM_ID_FIELD"]
    tokens = world.dataset.id2token(field, range(world.dataset.num(field)))
    ids = [0, *(int(i) for i in other.dataset.token2id(field, tokens[1:]))]
    require(ids != list(range(len(ids))), f"{field} has the same order in both data sets")
    return torch.tensor(ids)

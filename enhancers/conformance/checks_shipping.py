"""Promises about an enhanced model that leaves the process: checkpoints, detaching, baking, saving."""

from __future__ import annotations

import pickletools
import zipfile
from pathlib import Path
from typing import Any

import torch

from burnish.enhancers.attach import is_enhanced

from .check import NotApplicableError, conformance_check
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
    loaded = _reloaded(world)
    assert is_enhanced(loaded), "what was loaded has no enhancers"
    assert_equal_scores(scores(world), scores(world, loaded))


def need_sound_checkpoints(subject: Subject) -> None:
    """`NotApplicableError` where RecBole's own checkpoint of the plain backbone does not bring its scores back."""
    plain = train(subject.plain())
    try:
        assert_equal_scores(scores(plain), scores(plain, _reloaded(plain)))
    except Exception as error:
        raise NotApplicableError(f"the plain backbone's own checkpoint does not reload: {error}") from error


def _reloaded(world: World) -> Any:
    """The model that RecBole's quick start makes from the world's checkpoint."""
    from recbole.quick_start import load_data_and_model

    world.trainer._save_checkpoint(0, verbose=False)
    return load_data_and_model(world.trainer.saved_model_file)[1]


@conformance_check("detaches", "Detached, the model is the plain class with the bits that are stored.")
def detaches(subject: Subject) -> None:
    from burnish.enhancers.detaching import detach

    plain, attached = subject.plain(), subject.attached()
    model: Any = detach(attached.model)
    assert type(model) is subject.backbone, f"the class is {type(model)!r}"
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
    assert type(baked) is subject.backbone, f"the class is {type(baked)!r}"
    assert list(copied_state(baked)) == list(copied_state(subject.plain().model)), (
        "other entries in the state dict"
    )
    assert_equal_scores(scores(world), scores(world, baked), close=True)


def _baked(subject: Subject, world: World) -> Any:
    from burnish.enhancers.baking import bake

    for enhancer in world.model.enhancers.enhancers():
        if not enhancer.bakeable:
            raise NotApplicableError(f"enhancer {enhancer.name!r} declares that it cannot be baked")
    return bake(world.model)


@conformance_check(
    "baked checkpoint is plain",
    "A baked model's checkpoint names nothing of burnish; RecBole loads and scores it.",
)
def baked_checkpoint_is_plain(subject: Subject) -> None:
    from recbole.quick_start import load_data_and_model

    from burnish.enhancers.plain_checkpoint import write_plain_checkpoint

    need_sound_checkpoints(subject)
    world = train(subject.attached())
    baked = _baked(subject, world)
    file = subject.folder / "saved" / f"{subject.backbone.__name__}-baked.pth"
    write_plain_checkpoint(baked, file, world.config, {})
    assert not burnish_names(file), f"the checkpoint names {burnish_names(file)[:3]}"
    loaded = load_data_and_model(str(file))[1]
    assert type(loaded) is subject.backbone, f"the class is {type(loaded)!r}"
    assert_equal_scores(scores(world, baked), scores(world, loaded))


def burnish_names(file: Path) -> list[str]:
    """Strings in the pickles of a torch file that name a module or a class of burnish."""
    found = []
    with zipfile.ZipFile(file) as archive:
        for entry in archive.namelist():
            if entry.endswith(".pkl"):
                for _, argument, _ in pickletools.genops(archive.read(entry)):
                    if isinstance(argument, str) and argument.startswith("burnish."):
                        found.append(argument)
    return found


@conformance_check(
    "saves and loads", "What burnish added, saved alone, makes the same scores on the same backbone."
)
def saves_and_loads(subject: Subject) -> None:
    from burnish.enhancers.checkpoint import from_pretrained, save_pretrained

    world = train(subject.attached())
    folder = subject.folder / "saved" / f"{subject.backbone.__name__}-enhancers"
    save_pretrained(world.model, folder, world.train._dataset)
    fresh = subject.plain()
    own = {
        name: value for name, value in world.model.state_dict().items() if name in fresh.model.state_dict()
    }
    fresh.model.load_state_dict(own)
    fresh.model.load_other_parameter(world.model.other_parameter())
    model = from_pretrained(folder, fresh.model, fresh.train._dataset)
    with torch.no_grad():
        assert_equal_scores(scores(world), scores(fresh, model))

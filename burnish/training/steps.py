"""A word now and then while an epoch or an evaluation takes long, so that nobody takes it for hung."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from burnish.telling import stage


@contextmanager
def training_told(trainer: Any, data: Any, what: str) -> Iterator[None]:
    """While this is open, steps of the trainer's optimizer are told as batches of an epoch.

    Trainers that have no such optimizer, as those of trees, stay silent.
    """
    watch = getattr(getattr(trainer, "optimizer", None), "register_step_post_hook", None)
    steps = stage(f"{what}: batch", _length(data))
    if steps is None or watch is None:
        yield
        return
    hook = watch(lambda *_: steps.step())
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def evaluation_told(trainer: Any, data: Any, what: str) -> Iterator[None]:
    """While this is open, what the trainer evaluates is told: cases, or batches of users whose items are all ranked.

    Of cases many are in one batch, and they are scored in parts of it.  How many batches of users there will be is not
    known, as they grow with the memory there is.
    """
    collector = getattr(trainer, "eval_collector", None)
    ranked = type(data).__name__ == "FullSortEvalDataLoader"
    steps = stage(f"{what}: batch") if ranked else stage(f"{what}: case", _cases(data))
    if steps is None or collector is None or data is None:
        yield
        return
    holder, name = (collector, "eval_batch_collect") if ranked else (trainer.model, "predict")
    inner = getattr(holder, name)

    def told(*args: Any, **options: Any) -> Any:
        result = inner(*args, **options)
        steps.step(1 if ranked else len(result))
        return result

    setattr(holder, name, told)
    try:
        yield
    finally:
        # burnish's evaluation puts its own in this place, and may have taken this one away with it.
        vars(holder).pop(name, None)


def _cases(data: Any) -> int:
    """How many rows a loader of cases has, with those that are drawn; 0 where it does not say."""
    try:
        return len(data._dataset) * int(data.times)
    except (AttributeError, TypeError):
        return 0


def pretraining_line(config: Any) -> str | None:
    """A line for a run that pre-trains: RecBole has models whose default stage that is, with hundreds of epochs.

    None for other runs.
    """
    stage, epochs = config["train_stage"], config["pretrain_epochs"]
    if stage in (None, "finetune") or epochs is None:
        return None
    return (
        f"{config['model']} pre-trains first, {epochs} epochs (--pretrain_epochs N for another number); `epochs` "
        f"counts with train_stage: finetune, which begins from pre_model_path"
    )


def _length(data: Any) -> int:
    try:
        return len(data)
    except TypeError:
        return 0

"""`tune`: a language model learns to score users so that their scores recommend.

Jia, Yuan, Wu, Zheng, arXiv 2504.11658: the model is tuned with LoRA by a recommendation loss plus a format loss; item
scores stay frozen, users' scores follow the model.  How scores become differentiable, both losses' formulas and the
protocol of held-out training interactions are ours.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from burnish.enhancers.options import warn_of_idle
from burnish.errors import ConfigurationError, DataError
from burnish.randomness import forked_randomness
from burnish.strict import validated

from ..attributes import AttributeSchema
from ..scorers.files import write_scores
from ..scorers.protocol import Scores, Texts
from ..split import both_splits
from .model import (
    LocalModel,
    add_adapters,
    load_language_model,
    pick_device,
    recompute_activations,
    save_adapter,
)
from .options import LoraOptions
from .prompts import histories_of, question_fingerprint
from .recommendation_loss import BaseVectors, PairScores
from .sampling import hold_out, number_interactions
from .scorer import score_texts
from .state import TuningEpoch, fingerprint_of, model_fingerprint
from .tuner import Progress, Tuner

#: In the folder of a tuning: users' scores, as the enhancer `guided` takes them.
USER_SCORES = "user_scores.tsv"


@dataclass(frozen=True)
class LoraResult:
    """What tuning gives.

    Parameters
    ----------
    user_scores
        On the schema's scale, NaN for users without a history; the spread of the model's distribution as uncertainty.
    curve
        One line an epoch, the first is the model as it came.
    best
        The epoch whose adapters were kept, 0 where no epoch was better than the model as it came.
    adapter
        Folder of the adapters, in peft's format, or None.
    left_out
        Interactions that could not be used, because the user has no history or the item no scores.
    """

    user_scores: Scores
    curve: tuple[TuningEpoch, ...]
    best: int
    adapter: Path | None
    left_out: int


def tune(
    model: str | Path,
    schema: AttributeSchema,
    item_scores: Scores,
    histories: Texts,
    interactions: tuple[Sequence[str], Sequence[str]],
    *,
    options: LoraOptions | Mapping[str, Any] | None = None,
    base: BaseVectors | None = None,
    final_histories: Texts | None = None,
    folder: str | Path | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> LoraResult:
    """Tune a causal language model, and score users with it.

    The random streams of torch, numpy and random are as before afterwards.

    Parameters
    ----------
    model
        A folder with a model and its tokenizer, or the name of one that was downloaded.
    schema
        The attributes and their scale.
    item_scores
        Frozen; on the schema's scale, with all of its attributes.
    histories
        Of users, field `history`, from the training split.
    interactions
        Users' and items' ids, from the training split; best those that come after the histories, so that the model must
        foresee rather than copy.
    options
        How to tune, as `LoraOptions` or by name.
    base
        What a trained backbone adds to the score.
    final_histories
        What users are scored by in the end; the histories by default.
    folder
        Where the state is kept while tuning, and the adapters and user_scores.tsv afterwards.  A folder with the state
        of the same tuning is continued from there, with the same numbers as if it had never stopped.
    progress
        Called every `report_every` steps.

    Returns
    -------
    LoraResult
        Users' scores, the curve of the tuning, and the folder of the adapters.

    Raises
    ------
    UnknownNameError
        For an option that does not exist, with the nearest one.
    ConfigurationError
        For options, a model or a folder that cannot be used.
    DataError
        For scores and interactions that do not fit.
    NonFiniteError
        Where a gradient is not finite.

    References
    ----------
    arXiv 2504.11658: tuning with a recommendation and a format loss.  Both formulas and the protocol are ours.
    """
    settings = options if isinstance(options, LoraOptions) else validated(LoraOptions, options or {}, "LoRA")
    warn_of_idle("LoRA", settings, settings.idle())
    item_scores = _fitting(item_scores, schema)
    told = _with_history(histories)
    final = final_histories if final_histories is not None else histories
    histories_of(final)
    if None not in (told.split, final.split) and told.split != final.split:
        raise DataError(
            "final_histories are of another training split than histories; make both of the same data, options and seed"
        )
    pairs, left_out = number_interactions(*interactions, told.ids, item_scores.ids)
    device = pick_device(settings.device)
    objective = PairScores(item_scores, told.ids, base, settings.guided_weight, device)
    where = None if folder is None else Path(folder)
    with forked_randomness(settings.seed, device):
        network, tokenizer = load_language_model(model, settings.precision)
        note = _fingerprint(
            model_fingerprint(network), schema, item_scores, told, interactions, base, settings
        )
        network = add_adapters(network, settings)
        if settings.gradient_checkpointing:
            recompute_activations(network)
        local = LocalModel(network, tokenizer, schema, settings.max_tokens, device)
        learned, judged = hold_out(pairs, settings.held_out, settings.seed)
        if where is not None:
            where.mkdir(parents=True, exist_ok=True)
        tuner = Tuner(
            local,
            local.encode(histories_of(told)),
            objective,
            learned,
            judged,
            settings,
            folder=where,
            fingerprint=note,
            progress=progress,
        )
        tuner.run()
        users = score_texts(local, final, settings.batch_users, f"{Path(model).name}, tuned with LoRA")
        users = replace(users, split=both_splits(told.split, final.split))
        adapter = None
        if where is not None:
            adapter = _keep(local, where / "adapter", schema, told.split)
            write_scores(users, where / USER_SCORES, id_column="user_id")
    return LoraResult(users, tuple(tuner.position.curve), tuner.position.best, adapter, left_out)


def _fitting(scores: Scores, schema: AttributeSchema) -> Scores:
    """The schema's attributes of item scores.  Raises where some are missing or the scale is another one."""
    scores = scores.only(schema.names)
    low, high = schema.scale
    if scores.scale is not None and tuple(scores.scale) != (low, high):
        raise DataError(
            f"item scores are on the scale {list(scores.scale)}, the schema's is {[low, high]}; users and items must "
            f"be scored on the same scale"
        )
    outside = (scores.values < low) | (scores.values > high)
    if outside.any():
        row, column = np.argwhere(outside)[0]
        raise DataError(
            f"item scores: {scores.attributes[column]} of {scores.ids[row]!r} is {scores.values[row, column]:g}, "
            f"outside the schema's scale {[low, high]}; users and items must be scored on the same scale"
        )
    return scores


def _with_history(texts: Texts) -> Texts:
    """The users who have a history."""
    histories = histories_of(texts)
    rows = [row for row, history in enumerate(histories) if history.strip()]
    if not rows:
        raise DataError("no user has a history; nothing can be learned")
    return texts.take(rows)


def _fingerprint(
    model: bytes,
    schema: AttributeSchema,
    scores: Scores,
    texts: Texts,
    interactions: tuple[Sequence[str], Sequence[str]],
    base: BaseVectors | None,
    options: LoraOptions,
) -> str:
    """Tells tunings apart.  More epochs or patience go on with the same one; where it runs and reports is no matter."""
    free = {"epochs", "patience", "save_every", "report_every", "device"}
    parts: list[Any] = [model, question_fingerprint(schema), list(scores.ids), scores.values.tobytes()]
    parts += [list(texts.ids), list(histories_of(texts)), list(interactions[0]), list(interactions[1])]
    parts.append(options.model_dump(mode="json", exclude=free))
    if base is not None:
        parts += [list(base.user_ids), base.users.tobytes(), list(base.item_ids), base.items.tobytes()]
    return fingerprint_of(parts)


def _keep(model: LocalModel, folder: Path, schema: AttributeSchema, split: str | None) -> Path:
    """Write the adapters; the folder is there whole or not at all."""
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    old = folder.with_name(f".{folder.name}.old.{os.getpid()}")
    try:
        save_adapter(model.network, beside, schema, split)
        if folder.exists():
            os.replace(folder, old)
        os.replace(beside, folder)
    except OSError as error:
        raise ConfigurationError(f"folder = {str(folder.parent)!r} cannot be written ({error})") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return folder

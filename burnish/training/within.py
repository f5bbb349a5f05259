"""Runs that enhancers need first, where RecBole's own trainers are called: `run_recbole`, a trainer's `fit`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from burnish.errors import DataError
from burnish.randomness import random_state, set_random_state

from .bases import begin_from
from .first import Places
from .identity import FormerDataError, digest_tokens, split_rows
from .request import Request
from .session import alone, under_way
from .teachers import read_teachers
from .train import needed_first

logger = logging.getLogger(__name__)


def give_first_runs(trainer: Any, train_data: Any, valid_data: Any) -> None:
    """Train or read what the enhancers of a trainer's model begin from or learn from, and give it to them.

    As `burnish.run` does before it builds the model, so that both end with the same bits: random streams are put back
    where they were.  What is trained first has the options of the trainer's config and is not kept.  Nothing is done
    within a run of burnish's, and where nothing is asked for.

    A run's folder is compared with the rows and ids of training and validation, as the trainer has them.
    """
    model, config = trainer.model, trainer.config
    host = getattr(model, "enhancers", None)
    if under_way() or host is None or getattr(model, "begin_epoch", None) is None:
        return
    # A trainer that goes on from a checkpoint has begun from its base before.
    base = not host.has_base and not getattr(trainer, "start_epoch", 0)
    base = base and any(one.base_run() is not None and not one.has_begun() for one in host.enhancers())
    teachers = not host.has_teachers and any(one.teacher_runs() for one in host.enhancers())
    if not base and not teachers:
        return
    options = {
        name: value
        for name, value in config.external_config_dict.items()
        if name not in ("model", "dataset", "enhancers")
    }
    request = Request.gather(type(model), config["dataset"], None, (), options, None, False)
    places = Places(needed_first)
    state = random_state()
    logger.info("what the enhancers begin from or learn from is trained or read first")
    try:
        with alone():
            begun = begin_from(request, places) if base else None
            learnt = read_teachers(request, places) if teachers else None
    finally:
        set_random_state(state)
    here = _rows(train_data, valid_data)
    try:
        if begun is not None:
            # Without validation rows nobody can say that a folder's are none of the test.
            unknown = {} if begun.own else {"validation": None}
            begun.give(model, {**begun.data, **unknown, **here}, config)
        if learnt is not None:
            learnt.give(model, here, config, parts=True)
    except FormerDataError as error:  # no folder of before: it was trained a moment ago
        reason = str(error.reason).partition("; give ")[0]
        raise DataError(
            f"{error.named} was trained just now with the options that the trainer's Config was made with, and {reason}"
            f". What was changed since then, in the Config (such as its seed) or in the rows, it does not have; make a "
            f"Config that has it"
        ) from error


def _rows(train_data: Any, valid_data: Any) -> Mapping[str, Any]:
    """What is known of the data within a trainer: ids of all fields, and the rows of both parts."""
    data = train_data._dataset
    known: dict[str, Any] = {
        "ids": {name: digest_tokens(tokens) for name, tokens in sorted(data.field2id_token.items())},
        "training": split_rows(data),
    }
    if valid_data:
        known["validation"] = split_rows(valid_data._dataset)
    return known

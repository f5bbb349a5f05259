"""Data so small that an epoch is a few steps: told once, with the cure, and not to who has chosen."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import pytest

from burnish.enhancers.softmax.softmax import Softmax
from burnish.training.train import train

#: 40 users with 10 of their 12 interactions each in the training split.
USERS, ROWS = 40, 400


def told(small: dict[str, Any], model: str = "BPR", **more: Any) -> list[str]:
    """The warnings on steps of a run of two epochs whose batches nobody has chosen."""
    enhancers = more.pop("enhancers", {})
    options = {name: value for name, value in small.items() if name != "train_batch_size"} | more
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(model, "tiny", options=options, enhancers=enhancers)
    return [str(one.message) for one in caught if "an epoch of" in str(one.message)]


def test_interactions_in_one_batch(small: dict[str, Any]) -> None:
    assert told(small, stopping_step=7) == []  # with `epochs`, both were given
    (text,) = told(small, eval_step=2)
    assert text == (
        "an epoch of BPR on tiny is 1 step (400 interactions, train_batch_size = 2048): early stopping waits for 20 "
        "steps, and 2 epochs are 2 steps. Give a smaller train_batch_size, such as 32, or more epochs and a larger "
        "stopping_step"
    )
    (text,) = told(small, eval_step=2, stopping_from=6)
    assert "early stopping waits for 25 steps" in text
    assert told(small, train_batch_size=2048) == told(small, epochs=1) == []


def test_users_in_one_batch(small: dict[str, Any]) -> None:
    (text,) = told(small, enhancers={"softmax": {}})
    assert "is 1 step (40 users, softmax.users = 64)" in text
    assert "Give a smaller softmax.users, such as 4, or more epochs" in text
    assert told(small, enhancers={"softmax": {"users": 50}}) == []
    assert told(small, enhancers={"softmax": {"users": 64}}) == []  # the default, written out
    assert told(small, enhancers=[Softmax(users=64)]) == []
    assert len(told(small, enhancers={"softmax": {"temperature": 0.2}})) == 1
    assert len(told(small, enhancers={"softmax": {"rows": "interactions"}})) == 1
    (text,) = told(small, "MultiDAE", train_neg_sample_args=None)
    assert "is 1 step (40 users, train_batch_size = 2048)" in text


@pytest.mark.parametrize("size", [40, 44, 45])
def test_how_many_are_few(size: int, small: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from burnish.training import few_steps

    config = {
        "train_batch_size": size,
        "model": "BPR",
        "dataset": "tiny",
        "stopping_step": 10,
        "stopping_from": None,
        "eval_step": 1,
    }
    made = few_steps.Steps(-(-ROWS // size), ROWS, "interactions", "train_batch_size", size, False)
    monkeypatch.setattr(few_steps, "_steps", lambda *_: made)

    class Config(dict[str, Any]):
        external_config_dict: ClassVar[dict[str, Any]] = {}

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kind = type("Kind", (), {"name": "GENERAL"})
        few_steps.warn_of_few_steps(Config(config, MODEL_TYPE=kind), None, None, 300)
    assert len(caught) == (1 if size == 45 else 0)


def test_what_takes_no_steps_is_told_nothing(small: dict[str, Any]) -> None:
    assert told(small, "Pop") == []
    assert told(small, enhancers={"compress": {"ranks": [4], "ridge": [25.0]}}) == []

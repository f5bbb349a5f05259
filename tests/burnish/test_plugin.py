"""RecBole's configs and trainers are changed once, and a config's steps come in the order that `FINISHING` lists."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from recbole.config import Config
from recbole.model.general_recommender.bpr import BPR
from recbole.trainer import trainer as trainers

import burnish
from burnish.enhancers.attach import enhance
from burnish.errors import UnsupportedError


@pytest.mark.parametrize("name", ["__init__", "_get_model_and_dataset", "_get_final_config_dict"])
def test_a_config_is_wrapped_once(name: str) -> None:
    burnish.plugin.install()  # a second time does nothing
    assert not hasattr(vars(Config)[name].__wrapped__, "__wrapped__")


@pytest.mark.parametrize("trainer", ["Trainer", "KGATTrainer", "RecVAETrainer"])
def test_an_epoch_is_wrapped_once(trainer: str) -> None:
    assert not hasattr(vars(getattr(trainers, trainer))["_train_epoch"].__wrapped__, "__wrapped__")


class Settling(BPR):
    """Settles an option that the check of sequences refuses, and notes what the config held."""

    seen: ClassVar[list[Any]] = []

    @classmethod
    def settle_options(cls, config: Any, given: frozenset[str]) -> None:
        cls.seen.append((config["enhancers"], "epochs" in given, "seed" in given))
        config["sequence_training"] = "whole"


def test_enhancers_are_recorded_then_options_settled_then_sequences_checked() -> None:
    with pytest.raises(UnsupportedError, match="sequence_training = 'whole'"):
        Config(model=enhance(Settling, "rvrec"), dataset="ml-100k", config_dict={"epochs": 3})
    assert Settling.seen == [({"rvrec": {}}, True, False)]

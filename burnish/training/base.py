"""A trained backbone that enhancers begin from, put into a model that was just built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from burnish.errors import ConfigurationError, DataError

from .identity import FormerDataError, check_trained_on


@dataclass(frozen=True)
class Base:
    """A trained plain or baked backbone: its state by plain keys, the data it was trained on, and how long that took.

    own: trained here with the options of the run that begins from it, so on the same split of equal data.
    options: RecBole's options of that run.
    """

    source: str
    weights: Mapping[str, Tensor]
    data: Mapping[str, Any]
    seconds: float
    own: bool
    options: Mapping[str, Any] = field(default_factory=dict)

    def give(self, model: Any, data: Mapping[str, Any], config: Any) -> None:
        """Let the enhancers of a model that was just built begin from it.

        data: the fingerprint of the data set that the model was built for; `DataError` where it is another, or where
        the base was trained on other rows of it, which may be the model's validation or test rows.  `FormerDataError`
        where it was trained first, so that it can be trained anew.  config: the run's options.
        """
        try:
            check_trained_on(
                self.data,
                data,
                theirs=self.options,
                ours=config,
                other_columns=not self.own,
                cure="give a run with the same seed and eval_args, or base: auto",
            )
        except DataError as error:
            if self.own:
                raise FormerDataError("the base", self.source, error) from error
            raise DataError(f"base = {self.source!r}: {error}") from error
        self._put_into(model)
        model.enhancers.has_base = True
        for enhancer in model.enhancers.enhancers():
            if enhancer.base_run() is not None:
                enhancer.take_base()

    def _put_into(self, model: Any) -> None:
        own = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
        for name, value in self.weights.items():
            if name in own and own[name].shape != value.shape:
                raise ConfigurationError(
                    f"base = {self.source!r}: its {name!r} is {tuple(value.shape)}, and the backbone's is "
                    f"{tuple(own[name].shape)}; train the base with the same options"
                )
        with torch.no_grad():
            for name, value in self.weights.items():
                if name in own:
                    own[name].copy_(value)

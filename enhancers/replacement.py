"""The backbone's recommendation loss, replaced: an enhancer's objective, and what is left of the backbone's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from burnish.errors import ConfigurationError, UnsupportedError, warn
from burnish.randomness import forked_randomness

from .enhancer import Enhancer
from .epoch_batches import UserBatches
from .own_hooks import tensor_of
from .unchanged import unchanged
from .weights.loss import NoPlaceForWeightsError

if TYPE_CHECKING:
    from recbole.data.interaction import Interaction
    from torch import nn

    from .state import HostState
    from .weights.weigher import Weigher

Losses = Tensor | tuple[Tensor, ...]
OwnLoss = Callable[[Any], Losses]


def replacing(enhancers: Sequence[Enhancer[Any]]) -> Enhancer[Any] | None:
    """The enhancer whose objective replaces the backbone's loss; `ConfigurationError` where two would."""
    wanting = [enhancer for enhancer in enhancers if enhancer.replaces_loss()]
    if len(wanting) > 1:
        names = " and ".join(repr(enhancer.name) for enhancer in wanting)
        raise ConfigurationError(f"enhancers {names} both replace the backbone's loss; keep one of them")
    return wanting[0] if wanting else None


#: Hooks that count in training steps alone, and hooks that count without any.
_IN_STEPS = ("loss", "weigh", "interaction_weights", "objective", "objective_share", "before_step", "watch")
_WITHOUT_STEPS = ("refine", "refine_output", "rescore")


def trying(enhancers: Sequence[Enhancer[Any]]) -> Enhancer[Any] | None:
    """The enhancer whose candidates epochs try in place of training.

    Raises `ConfigurationError` beside an enhancer that has to be trained, and where two have candidates.
    """
    with_candidates = [enhancer for enhancer in enhancers if enhancer.candidates() is not None]
    if not with_candidates:
        return None
    one = with_candidates[0]
    for other in enhancers:
        trained = any(True for _ in other.parameters()) or other.replaces_loss() or other in with_candidates
        if other is not one and (trained or other.objective_share() != 1.0):
            raise _no_effect(one, other)
    return one


def check_beside(one: Enhancer[Any], enhancers: Sequence[Enhancer[Any]]) -> None:
    """Refuse what acts in training steps alone beside an enhancer that tries candidates.

    Asked before candidates are tried, and not where a run is read: earlier ones may have such an enhancer.
    Raises `ConfigurationError`; warns of weights that count in a graph alone.
    """
    for other in enhancers:
        if other is one:
            continue
        if other.propagates and _has(other, "interaction_weights"):
            warn(
                f"enhancer {one.name!r} tries candidates and trains nothing, so the weights of {other.name!r} count in "
                f"the graph alone, beside vectors that were trained without them"
            )
        elif _acts_in_steps_alone(other):
            raise _no_effect(one, other)


def _no_effect(one: Enhancer[Any], other: Enhancer[Any]) -> ConfigurationError:
    begin = ""
    if "base_options" in type(one.config).model_fields:
        begin = f", or begin from what the other trains ({one.name}: {{base: {other.name}}})"
    elif one.base_run() is not None:
        begin = ", or begin from a run with the other (base: its folder)"
    return ConfigurationError(
        f"enhancer {one.name!r} tries candidates and trains nothing, so {other.name!r} beside it would have no effect; "
        f"leave one of them out{begin}"
    )


def _acts_in_steps_alone(enhancer: Enhancer[Any]) -> bool:
    in_steps = any(_has(enhancer, hook) for hook in _IN_STEPS)
    return in_steps and not any(_has(enhancer, hook) for hook in _WITHOUT_STEPS)


def _has(enhancer: Enhancer[Any], hook: str) -> bool:
    return getattr(type(enhancer), hook) is not getattr(Enhancer, hook)


class Replacement:
    """An objective in the place of a recommendation loss.

    The backbone's own loss is linear in the weights of its rows, so with weights of 0 what is left of it are the terms
    that belong to no interaction: regularisation, self-supervision, a graph's.  Where nothing is left it is not
    computed again.  A backbone of ours may say at once what is left, by a method `loss_without_interactions`.

    enhancer: which has the objective.  weigher: of the same host, with `enhancer.own_loss` as its share.
    """

    def __init__(self, model: nn.Module, enhancer: Enhancer[Any], weigher: Weigher, state: HostState) -> None:
        self.enhancer, self.weigher, self.state = enhancer, weigher, state
        self.users_a_batch = enhancer.users_a_batch()
        self.backbone = type(model).__name__
        # In the instance dictionary of a plain object: no second registration of the model's modules.
        self._model = model
        # A loader is no part of a model's copy, nor of a saved state (see `__getstate__`).
        self._loaders: dict[str, UserBatches] = {}
        #: Whether anything is left of the backbone's loss; None until the first step has looked.
        self.rest: bool | None = None if enhancer.keeps_rest() else False

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaders": {}}

    @property
    def _batches(self) -> UserBatches | None:
        return self._loaders.get("users")

    def batches(self, loader: Any, epoch: int, user_field: str) -> Any:
        """The loader of an epoch: users where the objective goes over them, else as it is."""
        if self.users_a_batch is None or isinstance(loader, UserBatches):
            return loader
        batches = self._batches
        if batches is None or batches.loader is not loader:
            batches = self._loaders["users"] = UserBatches(
                loader, user_field, self.users_a_batch, self.state.seed
            )
        batches.epoch = epoch
        return batches

    def by_users(self, batch: Interaction) -> bool:
        """Whether a batch is some users, each with all of their items."""
        return self._batches is not None and self._batches.made(batch)

    def loss(
        self,
        batch: Interaction,
        own_loss: OwnLoss,
        probe: Callable[..., None],
        forget: Callable[[], None],
        share: float = 1.0,
    ) -> Losses:
        """The objective's mean, and what is left of the backbone's loss: in its first part.

        share: what the objective counts, where the loss of another enhancer counts in its place.
        """
        batches, by_users = self._batches, self.by_users(batch)
        interactions = batch
        if by_users and self.rests:
            assert batches is not None
            interactions = batches.rows_of(batch, self.state.step)
        rest = self._rest(interactions, own_loss, probe, forget) if self.rests else None
        if by_users:
            self.state.weights = self.state.cell_weights = None
            known = self.weigher.interactions is not None
            self.state.interaction_weights = self.weigher.of_interactions() if known else None
        elif rest is None and self.weigher:
            self.weigher.collect(batch, self.state)
        if share > 0.0:
            given = self.enhancer.objective(batch)
            rows = tensor_of(self.enhancer, "objective", given, None, "give a tensor of one loss a row")
            if not by_users and self.state.weights is not None:
                rows = rows * self.state.weights.to(rows.dtype)
            total = rows.mean() if share == 1.0 else share * rows.mean()
        else:
            total = torch.zeros((), device=batch[batch.columns[0]].device)
        if rest is None:
            return total
        rule = None if self.weigher.loss is None else self.weigher.loss.rule
        if rule is not None and rule.summed:
            # In the place of a sum over rows, beside terms that were weighed against one.
            total = total * self.weigher.size(interactions)
        return (rest[0] + total, *rest[1:]) if isinstance(rest, tuple) else rest + total

    @property
    def rests(self) -> bool:
        """Whether anything of the backbone's own loss is computed."""
        return self.enhancer.own_loss > 0 or self.rest is not False

    def _rest(
        self, batch: Interaction, own_loss: OwnLoss, probe: Callable[..., None], forget: Callable[[], None]
    ) -> Losses | None:
        at_once = getattr(self._model, "loss_without_interactions", None)
        if at_once is not None and self.enhancer.own_loss == 0:
            left: Losses = at_once()
            return left
        if self.rest is None and self.enhancer.own_loss == 0:
            self.rest = self._is_left(batch, own_loss, probe)
            forget()
            if not self.rest:
                return None
        return self._weighted(batch, own_loss, probe)

    def _weighted(self, batch: Interaction, own_loss: OwnLoss, probe: Callable[..., None]) -> Losses:
        try:
            with self.weigher.applied(batch, partial(probe, partial(own_loss, batch)), self.state):
                own: Losses = own_loss(batch)
        except NoPlaceForWeightsError as error:
            raise UnsupportedError(
                f"enhancer {self.enhancer.name!r} replaces the recommendation loss, and that of {self.backbone} cannot "
                f"be told from its other terms; give rest: drop to leave out all of the backbone's own loss"
            ) from error
        return own

    def _is_left(self, batch: Interaction, own_loss: OwnLoss, probe: Callable[..., None]) -> bool:
        device = batch[batch.columns[0]].device
        # With gradients, as reductions are only told from other sums where there are any.
        with forked_randomness(self.state.seed, device), unchanged(self._model), torch.enable_grad():
            own = self._weighted(batch, own_loss, probe)
        return any(bool((part != 0).any()) for part in (own if isinstance(own, tuple) else (own,)))

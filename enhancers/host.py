"""The host: the part of an enhanced model that runs its enhancers in every training step."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from burnish.errors import ConfigurationError, NonFiniteError, UnsupportedError, unknown_name
from burnish.randomness import forked_randomness

from .anatomy.describe import Anatomy, describe, is_output
from .enhancer import Enhancer
from .epoch_batches import own_batches
from .kept_embeddings import clear_kept
from .options import warn_of_idle
from .own_hooks import mapping_of, other_scores, same_rows, tensor_of
from .replacement import Losses, OwnLoss, Replacement, check_beside, replacing, trying
from .state import HostState
from .tables import refine_tables
from .unchanged import unchanged
from .weights.loss import LossWeights, NoPlaceForWeightsError
from .weights.reductions import plainly
from .weights.weigher import Weigher

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.dataset import Dataset
    from recbole.data.interaction import Interaction

    from .table_places import TablePlaces


class Host(nn.Module):
    """The enhancers of one model, by name, with the state that they share.

    Owns what no single enhancer may decide: the factors and the mean of extra losses, the weights of the
    backbone's own loss, the order in which rows are refined, and the check for numbers that are not finite.
    """

    #: Set when the host is added to a model: what notices replaced tables, and RecBole's configuration.
    places: TablePlaces
    backbone_config: Config

    def __init__(
        self, model: nn.Module, recipes: Sequence[Enhancer[Any]], config: Config, dataset: Dataset
    ) -> None:
        super().__init__()
        self.attached = nn.ModuleDict()
        seed = int(config["seed"] or 0)
        self.state = HostState(seed)
        self.state.belongs_to(model)
        device = torch.device(config["device"])
        with forked_randomness(seed, device):
            self.anatomy: Anatomy = describe(model, config, dataset)
            for recipe in recipes:
                enhancer = recipe.fresh()
                enhancer.state = self.state
                enhancer.bind(self.anatomy, dataset)
                self.attached[enhancer.name] = enhancer
        found = trying(self.enhancers())
        #: Whether the model began from the base that its enhancers ask for.
        self.has_base = False
        #: Whether the enhancers were given the trained models that they learn from.
        self.has_teachers = False
        self._trying = None if found is None else found.name  # by name: its tensors are saved once
        for enhancer in self.enhancers():
            others = [other for other in self.enhancers() if other is not enhancer]
            origin = f"enhancer {enhancer.name!r} on {self.anatomy.backbone}"
            warn_of_idle(origin, enhancer.config, enhancer.idle_here(others))
        # In the order in which they are attached, but for those that must see what all others did.
        in_order = sorted(self.enhancers(), key=lambda one: one.refines_last)
        self._output_enhancers = [e for e in in_order if e.refines_output()]
        if self._output_enhancers and self.anatomy.output is None:
            raise UnsupportedError(
                f"enhancer {self._output_enhancers[0].name!r} with site 'output' needs a backbone that propagates all "
                f"users and items at once, and {self.anatomy.backbone} does not. It works with graph backbones "
                f"(LightGCN, NGCF, SGL, DGCF, NCL); use site 'table' here."
            )
        objective = replacing(self.enhancers())
        self._own_share = 1.0 if objective is None else objective.own_loss
        #: Whether the backbone's whole loss is scaled, since its recommendation loss cannot be told apart.
        self._scales_all = False
        shared = any(type(e).objective_share is not Enhancer.objective_share for e in self.enhancers())
        self.weigher = Weigher(model, self.enhancers(), dataset, device, seed, self._own_share, shared)
        self.replacement = (
            None if objective is None else Replacement(model, objective, self.weigher, self.state)
        )
        self.state.users_a_batch = None if self.replacement is None else self.replacement.users_a_batch
        spans = []
        for table in self.anatomy.tables:
            refining = [e for e in in_order if e.refines(table)]
            if refining:
                spans.append((table, refining))
        for enhancer in self.enhancers():
            refined = any(enhancer in refining for _, refining in spans) or enhancer.refines_output()
            if type(enhancer).refine is not Enhancer.refine and not refined and not enhancer.replaces_loss():
                raise UnsupportedError(
                    f"enhancer {enhancer.name!r} refines embeddings, and {self.anatomy.backbone} has no table of users "
                    f"or items that it could refine. It works with BPR, LightGCN, NeuMF, SASRec and their like."
                )
        parameters = [*model.parameters(), *self.attached.parameters()]
        for enhancer in self.enhancers():
            enhancer.complete(parameters)
        refinements = refine_tables(spans, self.state)  # the last step: everything above may refuse
        for refinement in refinements:
            for table, _ in refinement.spans:
                self.state.refinements[table.name] = refinement
        self._refinements = refinements
        self.weigher.refresh_propagation()

    @property
    def trying(self) -> Enhancer[Any] | None:
        """The enhancer whose candidates epochs try in place of training; None where epochs train."""
        name = self._trying
        return self[name] if name is not None and name in self.attached else None

    def enhancers(self) -> list[Enhancer[Any]]:
        """The enhancers in the order in which they refine."""
        return [enhancer for enhancer in self.attached.values() if isinstance(enhancer, Enhancer)]

    def __getitem__(self, name: str) -> Enhancer[Any]:
        """The attached enhancer of that name; `UnknownNameError` when there is none."""
        if name not in self.attached:
            raise unknown_name("attached enhancer", name, self.attached)
        enhancer = self.attached[name]
        assert isinstance(enhancer, Enhancer)
        return enhancer

    def drop(self, enhancer: Enhancer[Any]) -> None:
        """Forget one enhancer; the tables that it alone refined are no longer among the refined ones."""
        del self.attached[enhancer.name]
        self.weigher.drop(enhancer)
        self._output_enhancers = [e for e in self._output_enhancers if e is not enhancer]
        for refinement in self._refinements:
            refinement.drop(enhancer)
        self._refinements = [refinement for refinement in self._refinements if refinement.spans]
        self.state.refinements = {t.name: one for one in self._refinements for t, _ in one.spans}
        self.forget()

    # ------------------------------------------------------------------ one training step

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """One training step: what is read inside is computed once, what it left behind is dropped after."""
        for enhancer in self.enhancers():
            enhancer.before_step()
        self.state.inside_step = True
        try:
            yield
        finally:
            self.state.inside_step = False
            self.state.weights = self.state.cell_weights = self.state.interaction_weights = None
            self.state.step += 1
            self.forget()
            if self.state.backbone is not None:
                # The backbone drops these in its own loss, which an objective in its place need not compute.
                clear_kept(self.state.backbone)

    def backbone_loss(self, batch: Interaction, own_loss: OwnLoss) -> Losses:
        """The backbone's own loss, in which each interaction counts by the enhancers' weights.

        Where an enhancer replaces it: that one's objective, and what is left of the backbone's.

        own_loss: computes the backbone's loss of a batch; called once more in the life of the model, to see which way
        weights can enter.
        """
        left = self.objective_share()
        self.weigher.share = self._own_share * left
        if self.replacement is not None:
            return self.replacement.loss(batch, own_loss, self._probe, self.forget, left)
        if self._scales_all:
            return _scaled(own_loss(batch), left)
        if not self.weigher:
            return own_loss(batch)
        try:
            with self.weigher.applied(batch, partial(self._probe, partial(own_loss, batch)), self.state):
                return own_loss(batch)
        except NoPlaceForWeightsError:
            if self.weigher.weighs:
                raise
        self._scales_all = True
        logger.warning(
            "the recommendation loss of %s cannot be told from its other terms, so all of its loss counts by the share "
            "that an enhancer leaves of it (%g)",
            self.anatomy.backbone,
            left,
        )
        self.forget()
        return _scaled(own_loss(batch), left)

    def objective_share(self) -> float:
        """What the enhancers leave of the recommendation loss in this step."""
        return math.prod(enhancer.objective_share() for enhancer in self.enhancers())

    def _probe(
        self, own_loss: Callable[[], Any], weights: LossWeights, size: int, device: torch.device
    ) -> None:
        with forked_randomness(self.state.seed, device), torch.no_grad():
            weights.probe(own_loss, size, device)
        self.forget()

    def observe(self, batch: Interaction, own_loss: OwnLoss) -> None:
        """Let enhancers look at the backbone's loss of single rows, before the step and without a trace of it."""
        watching = [enhancer for enhancer in self.enhancers() if enhancer.watches()]
        if not watching or not torch.is_grad_enabled():
            return
        self._refuse_users(watching[0], batch)
        device = self.anatomy.device
        with (
            forked_randomness(self.state.seed + self.state.step, device),
            self._unchanged(),
            # Its recurrent layers have no second derivatives, which an enhancer may want.
            torch.backends.cudnn.flags(enabled=False),
        ):
            self.forget()
            rows, numbers = self.weigher.row_losses(batch, partial(own_loss, batch))
            for enhancer in watching:
                enhancer.watch(rows, numbers)
        self.forget()

    def _refuse_users(self, watching: Enhancer[Any], batch: Interaction) -> None:
        """Batches of users, which an objective makes, have no losses of single interactions."""
        if self.replacement is None or not self.replacement.by_users(batch):
            return
        objective = self.replacement.enhancer
        by_rows = "rows" in type(objective.config).model_fields
        cure = f"give {objective.name} rows: interactions, or let" if by_rows else "let"
        raise UnsupportedError(
            f"enhancer {watching.name!r} looks at what single interactions add to the loss, and enhancer "
            f"{objective.name!r} makes batches of users with all of their items; {cure} {watching.name} value "
            f"interactions in another way (for shapley: values: profile)"
        )

    def _unchanged(self) -> contextlib.AbstractContextManager[None]:
        backbone = self.state.backbone
        return unchanged(backbone, apart=self) if backbone is not None else contextlib.nullcontext()

    @contextlib.contextmanager
    def training_epoch(self, train_data: Any, epoch: int) -> Iterator[Any]:
        """A context for one epoch of training on a loader; gives what the trainer goes over in its place.

        The loader's rows are resampled where an enhancer declares that; where the objective goes over users, or the
        backbone does, so do the batches.
        """
        with self.weigher.epoch(train_data, epoch):
            if self.replacement is not None:
                yield self.replacement.batches(train_data, epoch, self.anatomy.fields.user)
            elif self.weigher.resamples:  # weights are in how often rows come
                yield train_data
            else:
                yield own_batches(self.state.backbone, train_data, epoch)

    def check_trying(self) -> None:
        """Raise `ConfigurationError` for an enhancer without effect beside the one that tries candidates."""
        if self.trying is not None:
            check_beside(self.trying, self.enhancers())

    def try_candidate(self, epoch: int) -> None:
        """Let the backbone be what candidate number `epoch` makes of it."""
        assert self.trying is not None
        candidates = self.trying.candidates() or ()
        base = self.trying.base_run()
        if base is not None and not self.has_base:
            raise ConfigurationError(
                f"enhancer {self.trying.name!r}: base = {base!r} is trained or read where a run or the fit of a "
                f"RecBole trainer begins, not in a training loop of one's own: its candidates would be of an untrained "
                f"model; use one of these"
            )
        with torch.no_grad():
            self.trying.try_candidate(epoch)
        self.forget()
        if self.state.backbone is not None:
            clear_kept(self.state.backbone)
        logger.info("candidate %d of %d: %s", epoch + 1, len(candidates), candidates[epoch])

    def falls_back(self, error: NoPlaceForWeightsError) -> bool:
        """Whether training can start again, resampling, after its first loss took no weights."""
        if not self.weigher.fall_back():
            return False
        self.state.step = max(self.state.step - 1, 0)  # the step that failed
        return True

    def add_losses(self, own: Losses, batch: Interaction) -> Losses:
        """The backbone's own loss with every enhancer's loss added to its first element.

        The first element, because RecBole's NCLTrainer leaves out later ones while it warms up.
        Raises `NonFiniteError` that names the enhancer and the step.
        """
        terms: list[tuple[str, Tensor]] = []
        total: Tensor | None = None
        for enhancer in self.enhancers():
            factor = enhancer.loss_weight
            if factor == 0.0:
                continue
            for name, rows in mapping_of(enhancer, enhancer.loss(batch)).items():
                term = factor * tensor_of(enhancer, "loss", rows, None, f"{name!r} is to be a tensor").mean()
                terms.append((f"{enhancer.name}.{name}", term))
                total = term if total is None else total + term
        first = own[0] if isinstance(own, tuple) else own
        if total is not None:
            first = first + total
        if not bool(torch.isfinite(first.detach()).all()):
            self._diagnose(own, terms)
        return (first, *own[1:]) if isinstance(own, tuple) else first

    def _diagnose(self, own: Losses, terms: list[tuple[str, Tensor]]) -> None:
        step = self.state.step
        for table in self.anatomy.tables:
            if not bool(torch.isfinite(table.raw()).all()):
                raise NonFiniteError(
                    f"table {table.name!r} of {self.anatomy.backbone} holds NaN or infinite values at training step "
                    f"{step}; lower learning_rate (or set clip_grad_norm) and start again"
                )
        for enhancer in self.enhancers():
            for name, parameter in enhancer.named_parameters():
                if not bool(torch.isfinite(parameter).all()):
                    raise NonFiniteError(
                        f"parameter {name!r} of enhancer {enhancer.name!r} holds NaN or infinite values at training "
                        f"step {step}; lower learning_rate or the enhancer's weight ({enhancer.loss_weight})"
                    )
        for name, term in terms:
            if not bool(torch.isfinite(term)):
                raise NonFiniteError(
                    f"loss {name!r} is {term.item()} at training step {step} although all parameters are finite; "
                    f"lower the weight of that enhancer or its learning rate"
                )
        shown = [float(x) for x in (own if isinstance(own, tuple) else (own,))]
        if self.replacement is not None:
            kept = (
                f", with what it keeps of {self.anatomy.backbone}'s own loss,"
                if self.replacement.rests
                else ""
            )
            raise NonFiniteError(
                f"the objective of enhancer {self.replacement.enhancer.name!r}{kept} is {shown} at training step "
                f"{step} although all parameters are finite; lower learning_rate, or check that enhancer's options "
                f"and the input data"
            )
        raise NonFiniteError(
            f"the own loss of {self.anatomy.backbone} is {shown} at training step {step}, without the enhancers' part; "
            f"lower learning_rate or check the input data"
        )

    # ------------------------------------------------------------------ propagated embeddings

    def on_forward(self, result: Any) -> Any:
        """The backbone's `forward` result, with all-user and all-item embeddings refined where that is asked for.

        The first propagation of a training step is kept, so that losses can use it without a second one.
        """
        if not self._output_enhancers or not is_output(result, self.anatomy.n_users, self.anatomy.n_items):
            return result
        users, items = result[0], result[1]
        with plainly():
            for enhancer in self._output_enhancers:
                users = same_rows(enhancer, "refine_output", enhancer.refine_output(users, "user"), users)
                items = same_rows(enhancer, "refine_output", enhancer.refine_output(items, "item"), items)
        if self.state.inside_step and self.state.output is None:
            self.state.output = (users, items)
        return type(result)((users, items, *result[2:]))

    def rescored(self, scores: Tensor, items: Tensor | None, users: Tensor | None) -> Tensor:
        """What the enhancers make of predicted scores, in their order; raises as `other_scores` does."""
        self.state.scored_users = users
        try:
            for enhancer in self.enhancers():
                if type(enhancer).rescore is not Enhancer.rescore:
                    scores = other_scores(enhancer, enhancer.rescore(scores, items), scores)
        finally:
            self.state.scored_users = None
        return scores

    # ------------------------------------------------------------------ the rest

    def on_epoch(self, epoch: int) -> None:
        """Tell every enhancer that a training epoch begins."""
        for enhancer in self.enhancers():
            enhancer.on_epoch(epoch)
        self.weigher.refresh_propagation()

    def train(self, mode: bool = True) -> Host:
        """Also tells the enhancers, and gives the graph the present weights, which a loaded state may have changed."""
        for enhancer in self.enhancers():
            enhancer.on_mode(mode)
        self.weigher.refresh_propagation()
        return super().train(mode)

    def release(self) -> None:
        """Put back what the host changed in the backbone besides its tables."""
        self.weigher.release()

    def forget(self) -> None:
        """Drop everything that was computed from parameters and may be stale."""
        self.state.output = None
        for refinement in self._refinements:
            refinement.forget()

    def get_extra_state(self) -> Tensor:
        """The number of steps done, so that a resumed run draws the random numbers that were to come."""
        return torch.tensor(self.state.step)

    def set_extra_state(self, state: Tensor) -> None:
        self.state.step = int(state)


def _scaled(losses: Losses, factor: float) -> Losses:
    return tuple(loss * factor for loss in losses) if isinstance(losses, tuple) else losses * factor

"""Distillation: the backbone learns the distribution over items that teachers have for each user.

Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network" (2015, arXiv 1503.02531), section 2: both
softmaxes at a temperature t, and the loss times t^2, since gradients through softmaxes at t shrink as 1 / t^2.  Ours:
teachers standardised a user and mixed, known items left out on both sides, all items of a user at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.interactions import positives
from burnish.enhancers.teachers.given import TeacherScores
from burnish.enhancers.teachers.options import COMPUTED
from burnish.enhancers.teachers.rows import TeacherRows
from burnish.enhancers.teachers.student import Student
from burnish.enhancers.wasserstein.logsumexp import log_sum_exp
from burnish.errors import UnsupportedError
from burnish.randomness import forked_randomness

from .options import SCORED_TOP, DistilConfig

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset
    from recbole.data.interaction import Interaction

#: Working memory of the log-sum-exp over the catalogue, where the teacher's list is cut.
KERNEL_BYTES = 64 * 2**20
#: Copies of scores `[users, n_items]` in float32 that a step holds.
_COPIES = 6


class Distil(Enhancer[DistilConfig]):
    """The backbone learns the distribution over items that teachers have for each user.

    EASE, ItemKNN and runs (trained first, or in folders) score all items; their scores are standardised a user and
    mixed.  The Kullback-Leibler divergence from the teacher's softmax to the backbone's counts by `share`, and what the
    model is trained by otherwise, its own recommendation loss or the objective of `softmax`, by the rest of 1.

    Where the score is a product of two vectors all items are compared; other models score the teacher's list and some
    drawn items.  A model that reads histories learns, for each history, what the teacher has for its user.

    Parameters
    ----------
    config
        The options as a `DistilConfig`; give either this or options.
    **options
        The fields of `DistilConfig`, each with its default and description there (`burnish enhancers distil`).

    Raises
    ------
    UnknownNameError
        For an option that does not exist, with the nearest one.
    ConfigurationError
        For a value that cannot be used.
    UnsupportedError
        When the model is made: for a catalogue that does not fit the budget.
    DataError
        When the model is made: where every user knows every item.

    References
    ----------
    Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015 (arXiv 1503.02531), section 2.
    Teachers standardised a user and mixed, and known items left out: ours.

    Examples
    --------
    >>> burnish.enhance("BPR", "softmax", burnish.Distil(share=0.3))
    <class 'recbole.model.general_recommender.bpr.BPR[softmax, distil]'>
    """

    name = "distil"
    Config = DistilConfig
    computed_teachers = COMPUTED

    student: Student

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """Find how the backbone scores, and who can learn; nothing of the teachers is computed yet."""
        self._n_items, self._backbone, self._device = anatomy.n_items, anatomy.backbone, anatomy.device
        origin = f"enhancer {self.name!r}"
        liked = positives(dataset, anatomy.fields.label, self.config.positive_from, origin)
        self._seed = self.state.seed if self.config.seed is None else self.config.seed
        self.student = Student(
            self.name,
            anatomy,
            dataset,
            liked,
            users=self.config.users,
            mask_known=self.config.mask_known,
            state=self.state,
            seed=self._seed,
        )
        self.vectors = self.student.vectors
        self._teachers = TeacherScores(self.name, self.config, anatomy, dataset, liked, seed=self._seed)
        budget = self.config.budget_mib * 2**20
        self._rows = TeacherRows(self._teachers, self.config.shares(), self.config.ridge, budget)
        self._active = self.config.epochs is None or self.config.epochs[0] == 1

    def complete(self, parameters: Any) -> None:
        """Check how much a step holds, which is known once it is who makes its batches."""
        self._check_size()

    def _check_size(self) -> None:
        copies = _COPIES if self.config.top is None or self.vectors is None else 3
        users = self.student.users_a_step
        needed = 4 * copies * users * self._n_items
        if needed > self.config.budget_mib * 2**20:
            fewer = "" if copies < _COPIES or self.vectors is None else ", cut the teacher's list (top)"
            raise UnsupportedError(
                f"enhancer {self.name!r}: scores of users = {users} users for {self._n_items - 1} items "
                f"take {needed / 2**20:.0f} MiB a step, and budget_mib is {self.config.budget_mib}; give fewer "
                f"users{fewer}, or raise budget_mib"
            )

    # ------------------------------------------------------------------ teachers

    def teacher_runs(self) -> tuple[str, ...]:
        """The runs among the teachers: trained first, or in folders."""
        return self.config.runs

    def teacher_options(self) -> Mapping[str, Mapping[str, Any]]:
        return self.config.teacher_options

    def take_teachers(self, trained: Mapping[str, Any]) -> None:
        """Keep the scores of the runs."""
        self._teachers.take(trained)
        self._rows.forget()

    def note(self) -> str:
        """Who is learned from, and how."""
        who = " + ".join(f"{share:.3g} {name}" for name, share in self.config.shares().items())
        over = (
            "the teacher's list and drawn items, pair by pair"
            if self.vectors is None
            else "all items"
            if self.config.top is None
            else f"the teacher's {self.config.top} best items, against all"
        )
        teachers = self._teachers.note()
        return f"learns from {who}, over {over}.{f' {teachers}' if teachers else ''}"

    def idle_here(self, others: Any) -> dict[str, str]:
        reasons: dict[str, str] = {}
        if self.vectors is not None:
            scored = f"on {self._backbone}, which scores by a product"
            reasons |= dict.fromkeys(self.config.given("drawn"), scored)
            why = self.student.idle_users(others)
            if why is not None:
                reasons |= dict.fromkeys(self.config.given("users"), why)
        # Elsewhere it also says who learns: users of some positive interaction.
        of_rows = self.vectors is None or self.vectors.source == "sequence"
        if of_rows and not self.config.mask_known and not self.config.computes:
            reasons |= dict.fromkeys(
                self.config.given("positive_from"),
                "with mask_known: false, without a teacher that is computed from the training data",
            )
        return reasons

    # ------------------------------------------------------------------ the loss

    @property
    def loss_weight(self) -> float:
        """The teacher's share, in the epochs in which it counts."""
        return self.config.share if self._active else 0.0

    def objective_share(self) -> float:
        return 1.0 - self.loss_weight

    def on_epoch(self, epoch: int) -> None:
        """Take note of whether the teacher counts in this one."""
        first, last = self.config.epochs or (1, math.inf)
        self._active = first <= epoch + 1 <= last

    def loss(self, batch: Interaction) -> dict[str, Tensor]:
        """By "teacher", the divergence of every user `[b]` of a step."""
        if self.vectors is not None and self.vectors.source == "tables":
            return {"teacher": self._divergence(batch)}
        # A second pass of the model: its dropout must not take from the stream that the backbone draws from.
        with forked_randomness(self.student.step_seed, self._device):
            return {"teacher": self._divergence(batch)}

    def _divergence(self, batch: Interaction) -> Tensor:
        student = self.student
        if self.vectors is None:
            return self._of_scored(batch)
        users, states = student.step(batch)
        scale = student.scale()
        left_out = student.left_out(users)
        keys = student.items()
        if self.config.top is None:
            scores = states @ keys.t() * scale
            return divergence(self._rows.of(users).to(scores), scores, left_out, self.config.temperature)
        items, theirs = self._rows.lists(users, self.config.top, student.left_out)
        return divergence_of_products(
            theirs, items, states, keys, left_out, scale=scale, temperature=self.config.temperature
        )

    def _of_scored(self, batch: Interaction) -> Tensor:
        """`[b]`, where the model scores every pair by itself: the teacher's list, and drawn items."""
        rows, users = self.student.rows(batch)
        theirs = self._rows.of(users).masked_fill(self.student.left_out(users), -math.inf)
        best = theirs.topk(min(self.config.top or SCORED_TOP, self._n_items - 1), dim=1).indices
        items = with_drawn(best, self.config.drawn, self._n_items, self.student.generator())
        scores = self.student.pair_scores(batch, rows, items)
        left_out = ~torch.isfinite(theirs.gather(1, items)) | seen_before(items)
        return divergence(theirs.gather(1, items).to(scores), scores, left_out, self.config.temperature)


def with_drawn(best: Tensor, drawn: int, n_items: int, generator: torch.Generator) -> Tensor:
    """Lists of items `[b, k]` and so many drawn ones behind: `[b, k + drawn]`."""
    shape = (len(best), drawn)
    return torch.cat([best, torch.randint(1, n_items, shape, generator=generator, device=best.device)], dim=1)


def seen_before(items: Tensor) -> Tensor:
    """Bool `[b, n]`: whether an item stands further to the front of its row, too."""
    ordered, order = items.sort(dim=1, stable=True)
    again = torch.zeros_like(items, dtype=torch.bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return torch.zeros_like(again).scatter_(1, order, again)


def divergence(teacher: Tensor, student: Tensor, left_out: Tensor | None, temperature: float) -> Tensor:
    """`t^2 KL(softmax(teacher / t) || softmax(student / t))`, over the items of each row that are not left out: `[b]`.

    teacher, student: scores `[b, n]`; the teacher's are -inf for items beyond its list.
    left_out: bool `[b, n]`.  A row of which nothing is left has 0.
    """
    if left_out is not None:
        teacher = teacher.masked_fill(left_out, -math.inf)
        student = student.masked_fill(left_out, -math.inf)
    told = torch.isfinite(teacher).any(1, keepdim=True)
    # What nothing is left of is looked at as a row of zeros, so that no gradient is NaN, and dropped below.
    teacher, student = (torch.where(told, scores, torch.zeros_like(scores)) for scores in (teacher, student))
    log_p = torch.log_softmax(teacher / temperature, dim=1)
    log_q = torch.log_softmax(student / temperature, dim=1)
    p = log_p.exp()
    # Infinities must not meet the factor: its gradient would be NaN, for teachers that learn.
    terms = p * torch.where(p > 0, log_p - log_q, torch.zeros_like(p))
    return torch.where(told[:, 0], terms.sum(1), torch.zeros_like(terms[:, 0])) * temperature**2


def divergence_of_products(
    teacher: Tensor,
    items: Tensor,
    users: Tensor,
    keys: Tensor,
    left_out: Tensor,
    *,
    scale: float,
    temperature: float,
) -> Tensor:
    """`divergence_of_list` where the student's scores are products times a scale: `[b]`.

    teacher, items: scores and ids of its list, `[b, k]`.  users: vectors `[b, d]`; keys: of all items, `[n_items, d]`.
    left_out: bool `[b, n_items]`.
    """
    own = torch.einsum("bd,bkd->bk", users, keys[items]) * scale
    normaliser = log_sum_exp(
        users,
        keys,
        torch.full((), scale / temperature, dtype=users.dtype, device=users.device),
        centre=keys.new_zeros(keys.shape[1]),
        log_q=None,
        mask=left_out,
        similarity="product",
        budget_bytes=KERNEL_BYTES,
    )
    return divergence_of_list(teacher.to(own), own, normaliser, temperature)


def divergence_of_list(teacher: Tensor, student: Tensor, normaliser: Tensor, temperature: float) -> Tensor:
    """The same where the teacher has a list of items, and the student all of them: `[b]`.

    teacher: scores of its list `[b, k]`, -inf where the list is shorter.  student: of the same items `[b, k]`.
    normaliser: log-sum-exp `[b]` of the student's scores, divided by t, of all items that are not left out.
    """
    told = torch.isfinite(teacher).any(1)
    shown = torch.where(told[:, None], teacher, torch.zeros_like(teacher))
    log_p = torch.log_softmax(shown / temperature, dim=1)
    p = log_p.exp()
    normaliser = torch.where(told, normaliser, torch.zeros_like(normaliser))
    differences = log_p - (student / temperature - normaliser[:, None])
    rows = (p * torch.where(p > 0, differences, torch.zeros_like(p))).sum(1)
    return torch.where(told, rows, torch.zeros_like(rows)) * temperature**2

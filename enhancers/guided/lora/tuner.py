"""The loop: users in batches, recommendation loss plus format loss, held-out training interactions decide the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from burnish.errors import NonFiniteError
from burnish.randomness import forked_randomness

from .digits import expected_scores, format_loss
from .model import LocalModel
from .options import LoraOptions
from .prompts import Tokens
from .recommendation_loss import PairScores, score_samples
from .sampling import Interactions, Numbers, sample
from .state import Position, TuningEpoch, read_state, restore, snapshot, trainable, write_state


@dataclass(frozen=True)
class Progress:
    """Where a tuning stands: step of how many, in which epoch, and the epoch's mean losses so far."""

    epoch: int
    step: int
    steps: int
    recommendation: float
    form: float


class Tuner:
    """Tunes the adapters of one model.

    model: with adapters, everything else frozen.  prompts: one a user, in the order of the users' numbers.
    learned, judged: training interactions that teach, and that decide when to stop.  folder: where the state is kept,
    None for nowhere; a state that is there already is continued.
    """

    def __init__(
        self,
        model: LocalModel,
        prompts: Sequence[Tokens],
        objective: PairScores,
        learned: Interactions,
        judged: Interactions,
        options: LoraOptions,
        *,
        folder: Path | None = None,
        fingerprint: str = "",
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self.model, self.prompts, self.objective, self.options = model, prompts, objective, options
        self.learned, self.judged = learned, judged
        self.known = np.sort(np.concatenate([learned.keys(), judged.keys()]))
        self.folder, self.fingerprint, self.progress = folder, fingerprint, progress
        parameters = list(trainable(model.network).values())
        self.optimizer = torch.optim.AdamW(
            parameters, lr=options.learning_rate, weight_decay=options.weight_decay
        )
        self.position = Position()
        self.best = snapshot(model.network)
        self._sums = self._zero_sums()
        #: False while position, adapters and optimizer do not belong together.
        self._settled = True
        self.judges = self._pick_judges()

    def run(self) -> None:
        """Tune to the end, or from a saved state on; the best adapters are in the model afterwards.

        Interrupted, the steps done are saved first where there is a folder.  Raises `NonFiniteError` for NaN.
        """
        saved = None
        if self.folder is not None:
            saved = read_state(self.folder, self.fingerprint, self.model.network, self.optimizer)
        if saved is not None:
            self.position, self.best, sums = saved
            self._sums = sums.to(self.model.device)
        else:
            held_out, auc = self._held_out()
            self.position.curve.append(TuningEpoch(0, math.nan, math.nan, held_out, auc))
        try:
            while not self.finished():
                self._epoch()
        except KeyboardInterrupt:
            if self._settled:
                self._save()
            raise
        restore(self.model.network, self.best)

    def finished(self) -> bool:
        """Whether all epochs are done, or as many as are allowed have brought no better held-out loss."""
        done = self.position.epoch - 1
        waited = done - self.position.best >= self.options.patience
        return done >= self.options.epochs or (waited and len(self.judges) > 0)

    # -- one epoch ---------------------------------------------------------------------------------------

    def _epoch(self) -> None:
        epoch, options = self.position.epoch, self.options
        users = np.random.default_rng([options.seed, 2, epoch]).permutation(self.learned.active())
        size = options.batch_users * options.accumulate
        steps = [users[start : start + size] for start in range(0, len(users), size)]
        self.model.network.train()
        while self.position.step < len(steps):
            self._step(steps[self.position.step], epoch, self.position.step)
            done = self.position.step
            if self.progress is not None and (done % options.report_every == 0 or done == len(steps)):
                recommendation, form = self._means()
                self.progress(Progress(epoch, done, len(steps), recommendation, form))
            if done % options.save_every == 0 and done < len(steps):
                self._save()
        self._close_epoch(epoch)
        self._save()

    def _step(self, users: Numbers, epoch: int, step: int) -> None:
        """One step; a seed of its own, so that it is the same whether or not the run was interrupted before it."""
        seed = int(np.random.SeedSequence([self.options.seed, 3, epoch, step]).generate_state(1)[0])
        random = np.random.default_rng(seed)
        sums = self._zero_sums()
        with forked_randomness(seed, self.model.device):
            for start in range(0, len(users), self.options.batch_users):
                batch = users[start : start + self.options.batch_users]
                recommendation, form, anchor = self._losses(batch, random)
                loss = (
                    recommendation + self.options.format_weight * form + self.options.anchor_weight * anchor
                )
                (loss.sum() / len(users)).backward()
                counted = torch.stack([recommendation.sum(), form.sum(), torch.ones_like(form).sum()])
                sums += counted.detach()
        norm = torch.nn.utils.clip_grad_norm_(trainable(self.model.network).values(), self.options.clip)
        if not bool(torch.isfinite(norm)):  # the one look at the device in a step
            self.optimizer.zero_grad()
            raise NonFiniteError(
                f"LoRA: a gradient is not finite in step {step + 1} of epoch {epoch}; lower learning_rate "
                f"({self.options.learning_rate:g}), or use precision: float32"
            )
        self._settled = False
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._sums += sums
        self.position.step += 1
        self._settled = True

    def _losses(self, users: Numbers, random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Recommendation loss, format loss and distance from the untuned scores of each user, `[B]` each."""
        options, prompts = self.options, [self.prompts[user] for user in users]
        samples = sample(self.learned, self.known, users, options.positives, options.negatives, random)
        logits = self.model.answer_logits(prompts)
        scores, _ = expected_scores(logits, self.model.form)
        numbers = torch.from_numpy(users).to(scores.device)
        recommendation = score_samples(self.objective, numbers, scores, samples).loss(options.loss)
        anchor = torch.zeros_like(recommendation)
        if options.anchor_weight > 0:
            with torch.no_grad(), self._untuned():
                start, _ = expected_scores(self.model.answer_logits(prompts), self.model.form)
            anchor = ((scores - start) * self.objective.scale).square().mean(1)
        return recommendation, format_loss(logits, self.model.form), anchor

    def _untuned(self) -> AbstractContextManager[None]:
        """Inside, the model is as it came: without adapters."""
        return self.model.network.disable_adapter()  # type: ignore[operator]

    def _close_epoch(self, epoch: int) -> None:
        recommendation, form = self._means()
        held_out, auc = self._held_out()
        self._settled = False
        best_so_far = min((e.held_out for e in self.position.curve), default=math.inf)
        self.position.curve.append(TuningEpoch(epoch, recommendation, form, held_out, auc))
        if not len(self.judges) or held_out < best_so_far:
            self.best = snapshot(self.model.network)
            self.position.best = epoch
        self.position.epoch, self.position.step = epoch + 1, 0
        self._sums = self._zero_sums()
        self._settled = True

    # -- held-out training interactions --------------------------------------------------------------------

    def _pick_judges(self) -> Numbers:
        active = self.judged.active()
        if len(active) <= self.options.held_out_users:
            return active
        random = np.random.default_rng([self.options.seed, 4])
        return np.sort(random.choice(active, self.options.held_out_users, replace=False))

    def _held_out(self) -> tuple[float, float]:
        """Recommendation loss and AUC on held-out training interactions; the same samples each time."""
        if not len(self.judges):
            return math.nan, math.nan
        options = self.options
        random = np.random.default_rng([options.seed, 5])
        most = int(np.diff(self.judged.starts).max())
        samples = sample(self.judged, self.known, self.judges, most, options.negatives, random)
        values, _ = self.model.score([self.prompts[user] for user in self.judges], options.batch_users)
        scores = torch.from_numpy(values).float().to(self.model.device)
        numbers = torch.from_numpy(self.judges).to(self.model.device)
        with torch.no_grad():
            judged = score_samples(self.objective, numbers, scores, samples)
            return float(judged.loss(options.loss).mean()), float(judged.auc().mean())

    # -- sums and state ------------------------------------------------------------------------------------

    def _zero_sums(self) -> Tensor:
        """Sums of the two losses and the number of users in this epoch."""
        return torch.zeros(3, device=self.model.device)

    def _means(self) -> tuple[float, float]:
        recommendation, form, count = self._sums.tolist()
        return recommendation / max(count, 1), form / max(count, 1)

    def _save(self) -> None:
        if self.folder is not None:
            write_state(
                self.folder,
                self.fingerprint,
                self.position,
                self.model.network,
                self.optimizer,
                self.best,
                self._sums,
            )

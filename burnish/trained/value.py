"""`burnish.value`: what every training interaction of a trained model is worth, by one or more objectives."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from burnish.enhancers.shapley.objectives import combined
from burnish.enhancers.shapley.valuation import Valuation
from burnish.errors import ConfigurationError, DataError

from .source import Source, open_source
from .titles import read_titles
from .value_objectives import Shard, check_names, choose, gather
from .value_parts import Parts

if TYPE_CHECKING:
    from burnish.training.result import TrainingResult

#: Interactions in a shard: about so many are lost when a valuation is interrupted.
SHARD = 200_000
#: Values count as settled when their median error is at most this share of their spread.
SETTLED = 0.1
COMBINED = "combined"


def value(
    source: Source | TrainingResult | Path | str,
    objectives: Sequence[str] | str = "profile",
    *,
    repeats: int = 5,
    folds: int = 5,
    seed: int = 0,
    combine: bool = False,
    table: str | None = None,
    title_field: str | None = None,
    model: type | None = None,
    data_path: Path | str | None = None,
    trust: bool = False,
) -> Valuation:
    """The values of all training interactions of a trained model.

    source, model, data_path, trust: see `open_source`.  No validation or test interaction is looked at.
    objectives: names (or one text, separated by commas) of `burnish.valuing_objectives.OBJECTIVES`, an output each;
        "dimensions" gives one a dimension of the embeddings.
    repeats: with other folds and drawn items; their mean is the value, their spread its standard error (unknown,
        NaN, for a single repeat; 0 for an objective that draws nothing).
    folds: that a user's interactions are dealt out to.
    combine: add an output "combined", the sum of the objectives, each standardised within user.
    table: the item table to take vectors from, where there are several; by default what a graph backbone
        propagates, else the one that meets users in the score.
    title_field: see `recommend`.

    The players are the interactions: columns user, item (original ids), row (of the training data's `inter_feat`)
    and title (if there are titles).  A sequential model has a row for each interaction but a user's first.
    Interactions labelled negative are left out.
    Raises a `BurnishError` for arguments or a model that cannot be used.
    """
    opened = open_source(source, model=model, data_path=data_path, trust=trust)
    made = Valuer(
        opened,
        objectives,
        repeats=repeats,
        folds=folds,
        seed=seed,
        combine=combine,
        table=table,
        title_field=title_field,
    )
    return made.run()


def check_settings(
    objectives: Sequence[str] | str, *, repeats: int, folds: int, shard: int, combine: bool
) -> None:
    """Raise `ConfigurationError` or `UnknownNameError` for what `Valuer` would refuse whatever the model."""
    names = check_names(objectives)
    for name, number, least in (("repeats", repeats, 1), ("folds", folds, 2), ("shard", shard, 1)):
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise ConfigurationError(f"{name} = {number!r}: give a whole number, {least} or more")
    if combine and len(names) < 2:
        raise ConfigurationError("combine: there is one objective only; name several, or leave combine out")


class Valuer:
    """Values shard after shard of users, so that memory stays bounded and little is lost.  Arguments as for `value`.

    shard: about how many interactions are valued at a time; the values depend on it where folds are drawn.
    """

    def __init__(
        self,
        source: Source,
        objectives: Sequence[str] | str = "profile",
        *,
        repeats: int = 5,
        folds: int = 5,
        seed: int = 0,
        combine: bool = False,
        table: str | None = None,
        title_field: str | None = None,
        shard: int = SHARD,
    ) -> None:
        check_settings(objectives, repeats=repeats, folds=folds, shard=shard, combine=combine)
        self.source = source
        self.titles = read_titles(source.config, title_field)
        self.material = gather(source, table)
        if not self.material.n:
            raise DataError("the training data hold no interaction, so there is nothing to value")
        self.objectives = choose(objectives, self.material, str(source.config["model"]))
        self.repeats, self.folds, self.seed, self.combine, self.shard = repeats, folds, seed, combine, shard
        width = self.material.vectors.shape[1]
        self.outputs = tuple(name for one in self.objectives for name in one.outputs(width))
        self.outputs += (COMBINED,) if combine else ()
        self._order, self._cuts = _cut(self.material.users.cpu().numpy(), shard)

    @property
    def n_shards(self) -> int:
        """How many shards of users there are."""
        return len(self._cuts) - 1

    def run(
        self, parts_in: Path | None = None, progress: Callable[[int, int, bool], None] | None = None
    ) -> Valuation:
        """Value all shards.

        parts_in: a folder that finished shards are kept in (and taken from, when they are of the very same model,
            data and settings); it is left as it is (`Parts.remove`), since only the caller
            knows when the valuation is safe.
        progress: called after each shard with how many are done, of how many, and whether this one was found.
        """
        started = time.perf_counter()
        parts = Parts(parts_in, self.fingerprint() if parts_in is not None else "")
        shape = (self.material.n, len(self.outputs))
        values, errors = torch.empty(shape, dtype=torch.float64), torch.empty(shape, dtype=torch.float64)
        for number in range(self.n_shards):
            kept = parts.read(number)
            found = kept if kept is not None else self._shard(number)
            if kept is None:
                parts.write(number, *found)
            values[self._rows(number)], errors[self._rows(number)] = found
            if progress is not None:
                progress(number + 1, self.n_shards, kept is not None)
        return Valuation(
            values,
            errors,
            0,  # closed forms: no game is evaluated
            time.perf_counter() - started,
            _settled(values, errors),
            self.outputs,
            self.players(),
        )

    def players(self) -> pd.DataFrame:
        """The interactions: user, item, row, and title where there are titles."""
        data, material = self.source.dataset, self.material
        sides = {}
        for name, field, ids in (
            ("user", data.uid_field, material.users),
            ("item", data.iid_field, material.items),
        ):
            tokens = np.array(self.source.tokens(field, np.arange(data.num(field))), dtype=object)
            sides[name] = pd.array(tokens[ids.cpu().numpy() + 1], dtype="string")
        made = pd.DataFrame({**sides, "row": material.rows})
        if self.titles is not None:
            made["title"] = made["item"].map(self.titles[1]).astype("string")
        return made

    def fingerprint(self) -> str:
        """A digest of all that the values depend on: weights, interactions and settings."""
        digest = hashlib.blake2b(digest_size=16)
        settings = [self.repeats, self.folds, self.seed, self.shard, list(self.outputs)]
        digest.update(json.dumps(settings).encode())
        state: dict[str, Any] = dict(self.source.model.state_dict())
        named = {"users": self.material.users, "items": self.material.items, "vectors": self.material.vectors}
        for name, tensor in sorted({**state, **named}.items()):
            if isinstance(tensor, Tensor) and tensor.layout == torch.strided:
                plain = tensor.detach().cpu().contiguous().reshape(-1)
                digest.update(f"{name}{list(tensor.shape)}{tensor.dtype}".encode())
                digest.update(plain.view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def _rows(self, number: int) -> Tensor:
        """The places of a shard's interactions in the material."""
        return torch.from_numpy(self._order[self._cuts[number] : self._cuts[number + 1]])

    def _shard(self, number: int) -> tuple[Tensor, Tensor]:
        """Values and standard errors of one shard: twice `[m, n_outputs]`, on the CPU."""
        material = self.material
        chosen = self._rows(number).to(material.users.device)
        users, items = material.users[chosen], material.items[chosen]
        mean = torch.zeros(len(chosen), len(self.outputs), dtype=torch.float64, device=users.device)
        squares = torch.zeros_like(mean)
        drawn = any(one.random for one in self.objectives)
        repeats = self.repeats if drawn else 1
        kept: dict[str, Tensor] = {}
        for repeat in range(repeats):
            common = _mixed(self.seed, repeat)
            shard = Shard(chosen, users, items, _mixed(common, number), common, self.folds)
            now = self._judge(shard, kept)
            step = now - mean
            mean += step / (repeat + 1)
            squares += step * (now - mean)
        if repeats > 1:
            errors = (squares / (repeats - 1) / repeats).sqrt()
        else:
            errors = torch.full_like(mean, torch.nan)
        errors[:, torch.tensor(self._exact(), device=users.device)] = 0.0
        return mean.cpu(), errors.cpu()

    def _judge(self, shard: Shard, kept: dict[str, Tensor]) -> Tensor:
        """All outputs for one repeat.  kept: what does not change from repeat to repeat."""
        columns, judged = [], []
        for one in self.objectives:
            if one.name not in kept:
                found = one.compute(self.material, shard).double()
                found = found if found.dim() == 2 else found[:, None]
                if not one.random:
                    kept[one.name] = found
            else:
                found = kept[one.name]
            columns.append(found)
            judged.append(found.sum(dim=1))
        if self.combine:
            columns.append(combined(judged, shard.users)[:, None])
        return torch.cat(columns, dim=1)

    def _exact(self) -> list[bool]:
        width = self.material.vectors.shape[1]
        exact = [not one.random for one in self.objectives for _ in one.outputs(width)]
        return exact + ([all(exact)] if self.combine else [])


def _mixed(seed: int, number: int) -> int:
    """A seed of its own for each number, in the range that torch's generators take."""
    return int(np.random.SeedSequence([abs(seed), int(seed < 0), number]).generate_state(1, np.uint32)[0])


def _cut(users: np.ndarray, shard: int) -> tuple[np.ndarray, list[int]]:
    """Interactions in the order of users, and where shards begin: at a user's first, about `shard` apart."""
    order = np.argsort(users, kind="stable")
    firsts = np.flatnonzero(np.diff(users[order], prepend=-1))
    cuts = [0]
    for place in np.searchsorted(firsts, np.arange(shard, len(users), shard)):
        if place < len(firsts) and firsts[place] > cuts[-1]:
            cuts.append(int(firsts[place]))
    return order, [*cuts, len(users)]


def _settled(values: Tensor, errors: Tensor) -> bool:
    """Whether the median error of every output is small beside the spread of its values."""
    if bool(torch.isnan(errors).any()):
        return False
    spread = values.std(dim=0, correction=0)
    return bool((errors.median(dim=0).values <= SETTLED * spread).all())

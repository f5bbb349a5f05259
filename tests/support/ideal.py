"""The ideal weighted loss of any backbone, by a route of its own: one row at a time, and sums of those.

Everything runs in float64 and evaluation mode.  Terms that regularise or couple rows are switched off in both
arms; what a model draws at random is replaced by something that depends on the row alone.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from recbole.data.interaction import Interaction
from recbole.model import loss as recbole_losses
from torch import Tensor

from burnish.enhancers.attach import enhance
from burnish.enhancers.conformance.world import World, build_world
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.registry import register

#: Options that switch off what is not a sum over rows: regularisation, contrast between rows, graph losses.
OPTIONS: dict[str, dict[str, Any]] = {
    "SGL": {"ssl_weight": 0.0},
    "NCL": {"ssl_reg": 0.0, "proto_reg": 0.0},
    "DGCF": {"cor_weight": 0.0},
    "KGIN": {"sim_regularity": 0.0, "node_dropout_rate": 0.0, "mess_dropout_rate": 0.0},
    "MCCLK": {"beta": 0.0, "node_dropout_rate": 0.0, "mess_dropout_rate": 0.0},
    "KTUP": {"align_weight": 0.0, "use_st_gumbel": False},
    "CDAE": {"reg_weight_2": 0.0},
    "BERT4Rec": {"mask_ratio": 0.6},
    "RippleNet": {"kg_weight": 0.0},
    "KGNNLS": {"ls_weight": 0.0},
    "DIEN": {"alpha": 0.0},
    "FEARec": {"lmd": 0.0, "lmd_sem": 0.0, "fredom": False},
    "DiffRec": {"noise_scale": 0.0},
    "LDiffRec": {"noise_scale": 0.0},
}
#: Backbones whose loss is a sum over rows, not a mean.
SUMS = {"ConvNCF", "SGL", "CDAE", "ENMF", "S3Rec"}
_TYPES = (
    (torch, "float32", torch.float64),
    (torch, "cfloat", torch.cdouble),
    (torch, "FloatTensor", torch.DoubleTensor),
    (torch.sparse, "FloatTensor", torch.sparse.DoubleTensor),
)
#: Counters that anneal a term of the loss from call to call.
_COUNTERS = ("update", "update_count", "update_count_vae")
WEIGHTS = torch.tensor([0.2, 2.1, 0.5, 1.7, 0.0, 1.5], dtype=torch.float64)  # mean 1
ROWS = len(WEIGHTS)


@register
class Given(Enhancer[Any]):
    """Weighs by what a test puts into `rows` (a batch's) and `all` (the training interactions')."""

    name = "given_weights"
    rows: Tensor | None = None
    all: Tensor | None = None

    def bind(self, anatomy: Any, dataset: Any) -> None:
        self.dataset = dataset

    def weigh(self, batch: Any) -> Tensor | None:
        return self.rows

    def interaction_weights(self) -> Tensor | None:
        return self.all


@contextlib.contextmanager
def doubles(monkeypatch: Any) -> Iterator[None]:
    """A block in which what models make is float64, and RecBole's regularisers of embeddings are zero."""
    before = torch.get_default_dtype()
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        for owner, name, wider in _TYPES:
            patch.setattr(owner, name, wider)
        for name in ("EmbLoss", "RegLoss", "EmbMarginLoss"):
            patch.setattr(getattr(recbole_losses, name), "forward", lambda *args, **kwargs: torch.zeros(1))
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(before)


def weighed_world(
    name: str, folder: Path, others: tuple[Any, ...] = (), **options: Any
) -> tuple[World, Given]:
    """A backbone with `Given` on it, in float64 and evaluation mode, with `OPTIONS`."""
    zero = {"reg_weight": 0.0} if name not in ("DCN", "FOSSIL") else {}
    settings = {**zero, **_lists(name), **OPTIONS.get(name, {}), **options}
    made = build_world(enhance(name, Given(), *others), folder, options=settings)
    model = made.model.eval().double()
    for module in model.modules():
        for key, value in list(module.__dict__.items()):
            if isinstance(value, Tensor) and value.is_floating_point():
                module.__dict__[key] = value.double()
            elif isinstance(value, list):
                value[:] = [
                    x.double() if isinstance(x, Tensor) and x.is_floating_point() else x for x in value
                ]
    with torch.no_grad():
        for parameter in model.parameters():  # away from initial values near 0, where all rows look alike
            parameter += 0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    if callable(getattr(type(model), "reg_loss", None)):
        model.__dict__["reg_loss"] = lambda *args: 0.0
    if name in ("DiffRec", "LDiffRec"):
        model.__dict__["sample_timesteps"] = lambda n, device, method: (
            torch.full((n,), 2),
            torch.full((n,), 0.8),
        )
    if name == "NCL":  # its clusters are made by the trainer
        model.__dict__["ProtoNCE_loss"] = lambda *args: torch.zeros(())
    if name == "DIEN" and model.alpha == 0:  # not a number for a single short sequence
        model.interset_extractor.__dict__["auxiliary_loss"] = lambda *args: torch.zeros(())
    if name == "LINE":
        model.__dict__["sampler"] = lambda items: items % (model.n_users - 1) + 1
    return made, model.enhancers["given_weights"]


def _lists(name: str) -> dict[str, Any]:
    """Regularisation weights that are lists, for the models that read one."""
    lists = {
        "CKE": {"reg_weights": [0.0, 0.0]},
        "SHAN": {"reg_weight": [0.0, 0.0]},
        "HGN": {"reg_weight": [0.0, 0.0]},
    }
    lists |= {"FISM": {"reg_weights": [0.0, 0.0]}, "NAIS": {"reg_weights": [0.0, 0.0, 0.0]}}
    lists |= {"ConvNCF": {"reg_weights": [0.0, 0.0]}, "MacridVAE": {"reg_weights": [0.0, 0.0]}}
    lists |= {"NextItNet": {"reg_weight": 0.0}, "Caser": {"reg_weight": 0.0}}
    return lists.get(name, {})


def first_rows(world: World) -> Interaction:
    """The first `ROWS` rows of a training batch, in float64; whole blocks of them for SimpleX."""
    batch = world.batch()
    if type(world.model).__name__ == "SimpleX":
        block = len(batch) // world.model.neg_seq_len
        return taken(batch, [k * block + b for k in range(world.model.neg_seq_len) for b in range(ROWS)])
    start = 0 if len(batch.interaction) > 1 else int((batch["user_id"] == 0).nonzero()[0, 0] == 0)
    return taken(batch, [start + b for b in range(ROWS)])


def taken(batch: Interaction, index: list[int]) -> Interaction:
    """Rows of a batch, also of its columns that belong to a knowledge graph, in float64."""
    columns = {key: value[index] for key, value in batch.interaction.items()}
    return Interaction({k: v.double() if v.is_floating_point() else v for k, v in columns.items()})


def alone(model: Any, batch: Interaction, row: int) -> Interaction:
    """Row `row` twice, as some models squeeze a batch of one; blocks of it for SimpleX."""
    if type(model).__name__ == "SimpleX":
        blocks = model.neg_seq_len
        return taken(batch, [k * ROWS + row for k in range(blocks) for _ in range(2)])
    return taken(batch, [row, row])


def losses(model: Any, batch: Interaction, flag: bool = True) -> tuple[Tensor, ...]:
    """The model's losses for a batch, as a tuple."""
    random.seed(3)
    name = type(model).__name__
    for counter in set(_COUNTERS) & set(model.__dict__):
        setattr(model, counter, 10)
    if name == "MKR":
        found = model.calculate_rs_loss(batch)
    else:
        found = model.calculate_loss(batch, *([flag] if name == "RecVAE" else []))
    return tuple(x.sum() for x in (found if isinstance(found, tuple) else (found,)))


def gradients(model: Any, value: Tensor) -> dict[str, Tensor]:
    """Gradients of a value by parameter name; zeros where it does not reach."""
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    found = torch.autograd.grad(value, [p for _, p in named], allow_unused=True, retain_graph=True)
    return {n: torch.zeros_like(p) if g is None else g for (n, p), g in zip(named, found, strict=True)}

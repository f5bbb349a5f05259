"""Whether a backbone can train on whole sequences: found out by trying, before the first epoch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from burnish.enhancers.attach import EnhancedMixin
from burnish.enhancers.unchanged import unchanged
from burnish.randomness import forked_randomness

from .batches import by_windows
from .encoder import Passes, Windows, encoding_windows
from .layout import Layout

#: How many windows, and how many rows of each, are tried.
N_WINDOWS, N_ROWS = 6, 16
#: The precisions and the noise on weights with which models are tried, in this order, and what is still rounding
#: there, as a part of the largest value.
TRIALS = ((torch.float64, 0.1, 1e-9), (torch.float32, 0.1, 2e-4), (torch.float32, 0.0, 2e-4))
_SEED = 20240


class Unfit(Exception):  # noqa: N818  (an error only where somebody asks for whole sequences)
    """The model trains on prefixes; the text says why."""


@dataclass
class _Trial:
    """One computation of a loss: its value and gradients, what was encoded on the way, and what went wrong."""

    passes: Passes = field(default_factory=Passes)
    loss: Tensor | None = None
    gradients: list[Tensor] = field(default_factory=list)
    error: str = ""

    def finite(self) -> bool:
        return self.loss is not None and all(
            bool(torch.isfinite(value).all()) for value in (self.loss, *self.gradients)
        )


def check_backbone(model: nn.Module, config: Any) -> None:
    """What can be seen without trying.  Raises `Unfit`."""
    from recbole.model.abstract_recommender import SequentialRecommender

    if not isinstance(model, SequentialRecommender):
        raise Unfit("it is not a sequential recommender")
    if config["transform"]:
        raise Unfit(f"transform = {config['transform']!r} makes another sequence of every row")
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise Unfit(f"its batch normalisation ({name}) would see windows where it sees prefixes")


def check_model(model: Any, loader: Any, layout: Layout) -> None:
    """Compare the loss of a few real rows, computed from their prefixes and from their windows.  Raises `Unfit`.

    The outputs of `forward`, the states that `gather_indexes` gave, the loss and the gradient of every parameter
    must agree.  Dropout is off; weights are moved a little, so that a part that starts as zero counts too, and are
    float64 where the model works in it.  Random streams, parameters, gradients and buffers stay as they are.
    """
    batch = _some_rows(model, loader, layout)
    error = ""
    for dtype, noise, tolerance in TRIALS:
        with _probing(model, dtype, noise):
            plain = _try(model, batch, windows=False)
            if not plain.finite():  # perhaps the model does not work in this precision, or with such weights
                error = plain.error or "it is not finite"
                continue
            _judge(model, batch, plain, _try(model, batch, windows=True), tolerance)
            return
    raise Unfit(f"its loss could not be computed on a few training rows ({error})")


def _judge(model: Any, batch: Any, plain: _Trial, whole: _Trial, tolerance: float) -> None:
    """Raise `Unfit`, with the reason, where the two trials differ."""
    if not whole.passes.encoded:
        raise Unfit("its loss does not hand the item lists of the batch to `forward`")
    if not whole.passes.gathered:
        raise Unfit("it does not ask `gather_indexes` for the state at a position of its sequence")
    if whole.error:
        raise Unfit(
            f"it uses more of a sequence than the state at one position, which has no row a target ({whole.error})"
        )
    if not _agree(plain, whole, tolerance):
        if _looks_ahead(model, batch, tolerance):
            raise Unfit("its state at a position depends on items that come later")
        raise Unfit("what it computes for a prefix is not what it computes there within a longer sequence")


def _agree(plain: _Trial, whole: _Trial, tolerance: float) -> bool:
    assert plain.loss is not None
    assert whole.loss is not None
    one, other = plain.passes, whole.passes
    if len(one.outputs) != len(other.outputs) or len(one.states) != len(other.states):
        return False
    # A forward that gives the states of all positions gives those of windows: what is gathered from them counts.
    n_rows = len(one.states[0])
    outputs = [(a, b) for a, b in zip(one.outputs, other.outputs, strict=True) if len(b) == n_rows]
    pairs = [(plain.loss, whole.loss), *outputs, *zip(one.states, other.states, strict=True)]
    largest = max((float(g.abs().max()) for g in plain.gradients if g.numel()), default=0.0)
    return all(_close(a, b, tolerance) for a, b in pairs) and all(
        _close(a, b, tolerance, scale=largest) for a, b in zip(plain.gradients, whole.gradients, strict=True)
    )


def _close(one: Tensor, other: Tensor, tolerance: float, scale: float | None = None) -> bool:
    if one.shape != other.shape:
        return False
    if not one.numel():
        return True
    one, other = one.detach(), other.detach()
    scale = float(one.abs().max()) if scale is None else scale
    return float((one - other).abs().max()) <= tolerance * max(scale, 1e-12)


def _looks_ahead(model: Any, batch: Any, tolerance: float) -> bool:
    """Whether states before the end of a window change with the window's last item."""
    windows = Windows.of(batch, model.ITEM_SEQ_LEN)
    assert windows is not None
    lists, lengths = batch[model.ITEM_SEQ].clone(), batch[model.ITEM_SEQ_LEN]
    ends = (windows.last, lengths[windows.last] - 1)
    lists[ends] = lists[ends] % (model.n_items - 1) + 1
    changed = type(batch)({**batch.interaction, model.ITEM_SEQ: lists})
    before = windows.position < ends[1][windows.window]
    one, other = (_try(model, rows, windows=True).passes.states for rows in (batch, changed))
    return any(
        len(a) == len(before) and not _close(a[before], b[before], tolerance)
        for a, b in zip(one, other, strict=False)
    )


def _try(model: Any, batch: Any, *, windows: bool) -> _Trial:
    """The backbone's own loss (without what enhancers add) of a batch, and its gradients."""
    trial = _Trial()
    owner: Any = model
    if isinstance(model, EnhancedMixin):
        owner = super(EnhancedMixin, model)
        model.enhancers.forget()
    parameters = [p for p in model.parameters() if p.requires_grad]
    with (
        forked_randomness(_SEED, torch.device(model.device)),
        encoding_windows(model, batch, keep=True, windows=windows) as trial.passes,
    ):
        try:
            losses = owner.calculate_loss(batch)
            loss: Tensor = torch.stack(losses).sum() if isinstance(losses, tuple) else losses
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        except Exception as error:  # a model may fail in any way where it is given what it was not made for
            lines = str(error).strip().splitlines()
            trial.error = lines[0].rstrip(".") if lines else type(error).__name__
            return trial
    trial.loss = loss.detach()
    trial.gradients = [
        torch.zeros_like(p) if g is None else g.to_dense() for p, g in zip(parameters, gradients, strict=True)
    ]
    return trial


def _some_rows(model: Any, loader: Any, layout: Layout) -> Any:
    """A batch of rows, several of each of a few windows, whose contexts are their own lists."""
    counts = torch.bincount(layout.windows[layout.exact], minlength=layout.n_windows)
    several = torch.argsort(counts, descending=True, stable=True)[: int((counts > 1).sum())]
    if not len(several) or layout.n_windows < 2:
        raise Unfit("among the training rows are no two histories, or no two prefixes of one")
    chosen = several[_spread(len(several), N_WINDOWS)].tolist()
    if len(chosen) == 1:  # another one, so that a batch of one window cannot hide what has one row a window
        chosen.append(int(chosen[0] == 0))
    rows = []
    for window in chosen:
        own = layout.rows_of(torch.tensor([window]))
        own = own[layout.exact[own]]
        rows.append(own[_spread(len(own), N_ROWS)])
    with forked_randomness(_SEED, torch.device(model.device)), by_windows(loader, layout):
        return loader.collate_fn(torch.cat(rows).tolist()).to(model.device)


def _spread(n: int, most: int) -> Tensor:
    """Up to `most` of the numbers below `n`, the first and the last among them."""
    return torch.linspace(0, n - 1, min(n, most)).round().long()


@contextmanager
def _probing(model: Any, dtype: torch.dtype, noise: float) -> Iterator[None]:
    """Evaluation mode, another precision and moved weights within the block; then everything as it was.

    Modules hold other parameters meanwhile.  Changing the data of their own would part them from the hooks by which
    several processes reduce gradients.
    """
    kept = [(module, dict(module._parameters)) for module in model.modules()]
    try:
        with unchanged(model):
            _replace_parameters(model, dtype, noise)
            for module in model.modules():
                for name, buffer in module._buffers.items():
                    if buffer is not None and buffer.is_floating_point():
                        module._buffers[name] = buffer.to(dtype)
            model.eval()
            for module in model.modules():
                if isinstance(module, nn.RNNBase):  # cuDNN computes no gradients for one in evaluation mode
                    module.training, module.dropout = True, 0.0
            yield
    finally:
        for module, parameters in kept:
            module._parameters.update(parameters)
        if isinstance(model, EnhancedMixin):
            model.enhancers.forget()


def _replace_parameters(model: nn.Module, dtype: torch.dtype, noise: float) -> None:
    """Give the modules copies of their parameters, in `dtype` and with noise; rows of padding get none."""
    generator = torch.Generator().manual_seed(_SEED)
    padding = {
        id(module._parameters.get("weight")): module.padding_idx
        for module in model.modules()
        if isinstance(module, nn.Embedding) and module.padding_idx is not None
    }
    copies: dict[int, nn.Parameter] = {}
    for parameter in model.parameters():
        if not parameter.is_floating_point():
            continue
        moved = noise * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        if id(parameter) in padding:
            moved[padding[id(parameter)]] = 0.0
        data = parameter.detach().to(dtype) + moved.to(parameter.device, dtype)
        copies[id(parameter)] = nn.Parameter(data, requires_grad=parameter.requires_grad)
    for module in model.modules():
        for name, own in module._parameters.items():
            if own is not None:
                module._parameters[name] = copies.get(id(own), own)
        if isinstance(module, nn.RNNBase):  # which keeps a list of them, put back with its other attributes
            module._flat_weights = [module._parameters.get(name) for name in module._flat_weights_names]

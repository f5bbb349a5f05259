"""log sum_k exp(similarity(query, key_k) - log q_k) for many queries and keys, without the matrix of both.

Chunking with a running maximum and recomputing in the backward pass is how memory-efficient attention works
(Rabe and Staats, arXiv 2112.05682).  The algebra that keeps it at four matrix products for distances is ours.
With c[b, k] = (dlse_b / dd2_bk) / -scale, every gradient needs only c K, c^T Q and the sums of c over rows
and over columns.  Weights of rows therefore go on the small factor and never cost a pass over a block.

The shift in the exponent is each row's running maximum.  A constant bound would save a pass (a squared
distance is never negative), but with it every term of a query that is far from all keys underflows.
The backward pass takes the same maximum and divides by the same sum, on the small factor: the exponent of a
recomputed logit minus a stored log-sum-exp would hold the rounding of both, which has no bound.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .blocks import BLOCKS, Blocks, Chunk, Mask, Pairing, Similarity
from .tiling import tile

LOG_2 = math.log(2.0)


def log_sum_exp(
    queries: Tensor,
    keys: Tensor,
    scale: Tensor,
    *,
    centre: Tensor,
    log_q: Tensor | None,
    mask: Mask,
    similarity: Similarity,
    budget_bytes: int,
) -> Tensor:
    """Row-wise log-sum-exp `[B]` over the unmasked keys; -inf where there is none.

    For the similarity "squared" it is that of scale (2 q k - |k|^2) - log q, with q and k seen from `centre`
    `[D]`: add -scale |q|^2 for the log-sum-exp of -scale d^2.  For "distance" it is that of -scale d - log q, for
    "product" that of scale q k - log q, with a centre of 0.
    queries `[B, D]`, keys `[N, D]`, scale `[]`: one floating type, float32 or float64.  log_q `[N]` and
    centre are constants.  Gradients of first order go to queries, keys and scale.  Weights are kept for the
    backward pass where all `B * N` of them fit `budget_bytes`, and computed again otherwise.
    """
    itemsize, on_cpu = queries.element_size(), queries.device.type == "cpu"
    tiling = tile(len(queries), len(keys), itemsize=itemsize, budget_bytes=budget_bytes, on_cpu=on_cpu)
    wanted = torch.is_grad_enabled() and any(t.requires_grad for t in (queries, keys, scale))
    keep = wanted and len(queries) * len(keys) * itemsize <= budget_bytes
    fixed_mask = mask if isinstance(mask, Tensor) else None
    pairing = Pairing(queries, keys, scale, log_q, mask, tiling)
    with torch.autocast(queries.device.type, enabled=False):
        return _LogSumExp.apply(queries, keys, scale, centre, log_q, fixed_mask, pairing, similarity, keep)


class _LogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        keys: Tensor,
        scale: Tensor,
        centre: Tensor,
        log_q: Tensor | None,
        fixed_mask: Tensor | None,
        pairing: Pairing,
        similarity: Similarity,
        keep: bool,
    ) -> Tensor:
        sums = _RunningSums(BLOCKS[similarity](pairing, centre), keep)
        for chunk in sums.blocks.chunks():
            sums.add(chunk)
        ctx.save_for_backward(
            queries, keys, scale, log_q, fixed_mask, centre, sums.peak, sums.total, *sums.peaks
        )
        ctx.kept, ctx.version = sums.kept, None if sums.kept is None else sums.kept._version
        # The tensors above are not held here again, or in-place changes to them would go unnoticed.
        ctx.mask = None if isinstance(pairing.mask, Tensor) else pairing.mask
        ctx.tiling, ctx.similarity = pairing.tiling, similarity
        return sums.log() * LOG_2

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, scale, log_q, fixed_mask, centre, peak, total, *peaks = ctx.saved_tensors
        kept: Tensor | None = ctx.kept
        if kept is not None and kept._version != ctx.version:
            kept = None  # a second pass over a retained graph: the memory is another's by now, so compute them again
        mask = ctx.mask if fixed_mask is None else fixed_mask
        if kept is not None:
            mask = None  # kept weights are masked already
        pairing = Pairing(queries, keys, scale, log_q, mask, ctx.tiling)
        share = grad / total.masked_fill(total == 0.0, 1.0)  # a row without keys has weights 0
        with torch.autocast(queries.device.type, enabled=False):
            blocks = BLOCKS[ctx.similarity](pairing, centre)
            pull = _Pull(blocks, share, peak, kept, ctx.needs_input_grad[:3])
            for index, chunk in enumerate(blocks.chunks()):
                pull.add(chunk, None if kept is None else peaks[index])
            gradients = pull.gradients()
        if kept is not None:
            _give_back(kept)
        return *gradients, None, None, None, None, None, None


#: Memory of kept weights that is free again: one piece, on a processor.  Fresh memory comes in pages that the system
#: fills with zeros first, which took a quarter of the time of a step.  (Accelerators keep theirs anyway.)
_FREE: list[Tensor] = []


def _memory(like: Tensor, size: int) -> Tensor:
    """`[size]`, of any content."""
    if like.device.type == "cpu":
        try:
            free = _FREE.pop()
        except IndexError:
            return like.new_empty(size)
        if free.dtype == like.dtype and size <= len(free) <= 2 * size:
            return free
    return like.new_empty(size)


def _give_back(kept: Tensor) -> None:
    if kept.device.type == "cpu" and not _FREE:
        _FREE.append(kept)


class _RunningSums:
    """Forward: the running maximum (base 2) and sum of every row, and the weights where they are kept."""

    def __init__(self, blocks: Blocks, keep: bool) -> None:
        self.blocks = blocks
        rows = len(blocks.queries)
        # The lowest finite number, not -inf: a row masked throughout gives exp(-inf - lowest) = 0, not NaN.
        self.peak = blocks.queries.new_full((rows,), torch.finfo(blocks.queries.dtype).min)
        self.total = torch.zeros_like(self.peak)
        self.kept = _memory(blocks.queries, rows * blocks.tiling.n_keys) if keep else None
        #: for every chunk, the maxima that its kept weights are relative to
        self.peaks: list[Tensor] = []

    def add(self, chunk: Chunk) -> None:
        for first, end in self.blocks.tiling.row_ranges():
            block = self.blocks.logits(
                chunk, first, end, out=_kept(self.kept, self.blocks, chunk, first, end)
            )
            before, total = self.peak[first:end], self.total[first:end]
            peak = torch.maximum(before, block.amax(dim=1))
            block.sub_(peak.unsqueeze(1)).exp2_()
            total.mul_((before - peak).exp2_()).add_(block.sum(dim=1))
            before.copy_(peak)
            if self.kept is not None:
                self.blocks.slopes(block)
        if self.kept is not None:
            self.peaks.append(self.peak.clone())

    def log(self) -> Tensor:
        return self.total.log2() + self.peak


class _Pull:
    """Backward: the products with c, and the gradients made of them.

    share: `[B]`, the gradient of each row over the row's sum of weights.  last: `[B]`, the maxima that this sum
    is relative to.  Kept weights are relative to the maxima of their chunk.  So the sums over keys, c K `[B, D]`
    and c 1 `[B]`, are relative to those of the present chunk, and step from one chunk to the next.
    """

    def __init__(
        self, blocks: Blocks, share: Tensor, last: Tensor, kept: Tensor | None, needs: tuple[bool, bool, bool]
    ) -> None:
        self.blocks, self.share, self.last, self.kept, self.needs = blocks, share, last, kept, needs
        self.peak: Tensor | None = None
        self.by_row, self.by_key = needs[0] or needs[2], needs[1] or needs[2]
        # The factor of a key for distances ends in a column of ones, so the product with it sums c over keys as well.
        width = blocks.queries.shape[1]
        self.sums = blocks.queries.new_zeros(len(share), width + blocks.extra)
        self.key_sum, self.row_sum = self.sums[:, :width], self.sums[:, -1]
        # What multiplies a difference, or a product's other side, in a gradient.
        self.pull_scale = (2.0 if blocks.of_distances else 1.0) * blocks.pairing.scale
        self.weight = share
        beside = 1 if blocks.of_distances else 0
        self.weighted = blocks.queries.new_empty(len(share), width + beside)
        self.column_sums = blocks.queries.new_empty(blocks.tiling.keys if beside else 0, width + beside)
        if kept is None:
            self._weigh(share)
        self.to_keys = torch.empty_like(blocks.pairing.keys) if self.by_key else None
        self.to_scale = blocks.queries.new_zeros(())  # sum of grad_b c[b, k] |k|^2

    def _weigh(self, weight: Tensor) -> None:
        """Set the weights of rows, and what c^T is multiplied with: weighted queries, and weights for distances."""
        self.weight = weight
        if self.by_key:
            width = self.blocks.queries.shape[1]
            pull = (weight * self.pull_scale).unsqueeze(1)
            torch.mul(self.blocks.queries, pull, out=self.weighted[:, :width])
            if self.blocks.of_distances:
                self.weighted[:, -1] = weight

    def add(self, chunk: Chunk, peak: Tensor | None) -> None:
        """peak: `[B]`, the maxima that kept weights of this chunk are relative to."""
        if peak is not None:
            self._step_to(peak)
        columns = self._columns(chunk)
        if not self.blocks.tiling.n_rows:
            columns.zero_()
        for first, end in self.blocks.tiling.row_ranges():
            block = _kept(self.kept, self.blocks, chunk, first, end)
            if block is None:
                block = self.blocks.logits(chunk, first, end).sub_(self.last[first:end].unsqueeze(1))
                # Computed again, a logit may be a rounding above its own maximum.
                block = self.blocks.slopes(block.clamp_max_(0.0).exp2_())
            if self.by_row:
                self.sums[first:end].addmm_(block, chunk.factor)
            if self.to_keys is not None:
                # The first block need not add to zeros.
                torch.addmm(columns, block.t(), self.weighted[first:end], beta=int(first > 0), out=columns)
        if self.to_keys is not None and chunk.norms is not None:
            self.to_scale += torch.dot(chunk.norms, columns[:, -1])
            own = (columns[:, -1] * self.pull_scale).unsqueeze(1)
            torch.addcmul(columns[:, :-1], chunk.keys, own, value=-1.0, out=self.to_keys[chunk.lo : chunk.hi])

    def _columns(self, chunk: Chunk) -> Tensor:
        """Where c^T times weighted queries goes `[n, D]`, with a column beside it for distances."""
        if self.blocks.of_distances or self.to_keys is None:
            return self.column_sums[: chunk.hi - chunk.lo]
        return self.to_keys[chunk.lo : chunk.hi]

    def _step_to(self, peak: Tensor) -> None:
        """Make sums and weights relative to the maxima of the next chunk."""
        if self.peak is not None:
            change = (self.peak - peak).exp2_()
            self.sums.mul_(change.unsqueeze(1))
        self.peak = peak
        self._weigh(self.share * (peak - self.last).exp2_())

    def gradients(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """To queries, keys and scale; None where not needed."""
        blocks, weight = self.blocks, self.weight
        to_queries = to_scale = None
        if self.needs[2]:  # sum of grad_b c[b, k] |q_b - k|^2, multiplied out; less |q_b|^2 where relative
            own = (self.key_sum * blocks.queries).sum(dim=1)
            if blocks.of_distances:
                own *= -2.0
                if not blocks.relative:
                    own += self.row_sum * blocks.norms
                own *= -float(blocks.order)
            to_scale = torch.dot(weight, own) - float(blocks.order) * self.to_scale
        if self.needs[0]:
            pull = (weight * self.pull_scale).unsqueeze(1)
            to_queries = self.key_sum * pull
            if not blocks.relative:
                to_queries.addcmul_(blocks.queries, pull * self.row_sum.unsqueeze(1), value=-1.0)
        return to_queries, self.to_keys if self.needs[1] else None, to_scale


def _kept(kept: Tensor | None, blocks: Blocks, chunk: Chunk, first: int, end: int) -> Tensor | None:
    """A block of the kept weights: chunks lie one after another, each `[B, n]` and contiguous."""
    if kept is None:
        return None
    rows, columns = len(blocks.queries), chunk.hi - chunk.lo
    return kept[rows * chunk.lo : rows * chunk.hi].view(rows, columns)[first:end]

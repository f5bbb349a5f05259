"""A row-wise contrastive loss whose similarity is the negative (squared) 2-Wasserstein distance."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from burnish.errors import ConfigurationError, unknown_name

from .blocks import Mask, Similarity, mean_key
from .logsumexp import log_sum_exp

#: What `contrast` compares by; the kernel's third one, "product", is that of `burnish.enhancers.softmax`.
SIMILARITIES = ("squared", "distance")
#: Working memory by default: 64 MiB.
BUDGET_BYTES = 64 * 2**20


def contrast(
    queries: Tensor,
    positives: Tensor,
    keys: Tensor,
    *,
    scale: float | Tensor = 1.0,
    log_q_keys: Tensor | None = None,
    log_q_positives: Tensor | None = None,
    mask: Mask = None,
    similarity: Similarity = "squared",
    budget_bytes: int = BUDGET_BYTES,
) -> Tensor:
    """Loss of every row, `[B]`, at least 0: how well a query tells its positive from the keys.

        rows[b] = -log( P_b / (P_b + sum_k e^(s(b, k) - log q_k)) ),    P_b = e^(s(b, positive_b) - log q_b)

    over the keys k that the mask leaves in.  s = -scale * W2^2 for similarity "squared", -scale * W2 for
    "distance".  Rows are `[mean; spread]` of diagonal Gaussians (see `embed`), D = 2d, for which W2 is the
    Euclidean distance; any other rows give the plain Euclidean control.  RVRec (arXiv 2509.03130) names the
    similarity and the purpose; the formula is our completion (an InfoNCE with log-q correction, Yi et al.,
    RecSys 2019).  For the other direction call it again with the roles exchanged.

    queries: `[B, D]`.  positives: `[B, D]`, the match of each query.  keys: `[N, D]`, N may be 0; a key that
    is the positive itself should be masked.
    scale: positive number, or a 0-d tensor that may take a gradient (divide by d for a mean over dimensions).
    log_q_keys: `[N]`, log_q_positives: `[B]`: log sampling probabilities, constants; None for none.
    mask: bool `[B, N]`, True where a pair is left out, or a function of (lo, hi) that gives columns lo to hi,
    the same whenever it is asked (it is asked again in the backward pass).
    budget_bytes: largest block of working memory.  Where all B * N weights fit, they are kept for the
    backward pass; otherwise they are computed again.  Beyond it are only tensors of the arguments' sizes.

    Accuracy: with q and k seen from the mean key, a squared similarity is off by about
    1e-7 scale (2 |q| |k| + |k|^2) in float32, so a common offset costs nothing, a query far from all keys
    little, and clusters of keys far apart what their distance is; a distance is off by 1e-7 of itself.
    A row whose keys are all masked has loss 0.  float16 and bfloat16 are computed in float32, as under
    autocast; float64 stays.  Gradients of first order go to queries, positives, keys and scale.  Nothing on
    the way waits for the device.  Raises `ConfigurationError` for shapes and values that do not fit.
    """
    if similarity not in SIMILARITIES:
        raise unknown_name("similarity", similarity, SIMILARITIES)
    _check_shapes(queries, positives, keys, log_q_keys, log_q_positives, mask)
    dtype = torch.promote_types(torch.promote_types(queries.dtype, keys.dtype), torch.float32)
    queries, positives, keys = queries.to(dtype), positives.to(dtype), keys.to(dtype)
    a = _as_tensor(scale, queries)
    log_q = None if log_q_keys is None else log_q_keys.detach().to(dtype)
    with torch.autocast(queries.device.type, enabled=False):
        # No gradient goes through the centre: distances do not depend on it.
        centre = mean_key(keys.detach())
        lse = log_sum_exp(
            queries,
            keys,
            a,
            centre=centre,
            log_q=log_q,
            mask=mask,
            similarity=similarity,
            budget_bytes=budget_bytes,
        )
        positive = a * _paired(queries - centre, positives - centre, similarity)
        if log_q_positives is not None:
            positive = positive - log_q_positives.detach().to(dtype)
        return -functional.logsigmoid(positive - lse)


def _paired(queries: Tensor, positives: Tensor, similarity: Similarity) -> Tensor:
    """What `log_sum_exp` compares with, `[B]`: 2 q p - |p|^2, or -|q - p|, whose gradient at 0 is 0."""
    if similarity == "squared":
        return (positives * (2.0 * queries - positives)).sum(dim=1)
    return -(queries - positives).norm(dim=1)


def _as_tensor(scale: float | Tensor, like: Tensor) -> Tensor:
    if isinstance(scale, Tensor):
        if scale.dim() != 0:
            raise ConfigurationError(f"scale has shape {tuple(scale.shape)}: give a number or a 0-d tensor")
        return scale.to(like.dtype)
    if not 0.0 < scale < math.inf:
        raise ConfigurationError(f"scale={scale}: give a positive finite number")
    # Filled on the device: a copy of a Python number would wait for it.
    return torch.full((), scale, dtype=like.dtype, device=like.device)


def _check_shapes(
    queries: Tensor,
    positives: Tensor,
    keys: Tensor,
    log_q_keys: Tensor | None,
    log_q_positives: Tensor | None,
    mask: Mask,
) -> None:
    if queries.dim() != 2:
        raise ConfigurationError(f"queries has shape {tuple(queries.shape)}: give rows [B, D]")
    rows, width = queries.shape
    n_keys = keys.shape[0] if keys.dim() else 0
    wanted: list[tuple[str, Tensor | None, tuple[int, ...]]] = [
        ("positives", positives, (rows, width)),
        ("keys", keys, (n_keys, width)),
        ("log_q_keys", log_q_keys, (n_keys,)),
        ("log_q_positives", log_q_positives, (rows,)),
        ("mask", mask if isinstance(mask, Tensor) else None, (rows, n_keys)),
    ]
    for name, tensor, shape in wanted:
        if tensor is not None and tuple(tensor.shape) != shape:
            raise ConfigurationError(
                f"{name} has shape {tuple(tensor.shape)}: give {shape}, "
                f"to go with queries {(rows, width)} and {n_keys} keys"
            )
    for name, tensor in (("queries", queries), ("positives", positives), ("keys", keys)):
        if not tensor.is_floating_point():
            raise ConfigurationError(f"{name} has dtype {tensor.dtype}: give floating-point rows")
    if isinstance(mask, Tensor) and mask.dtype != torch.bool:
        raise ConfigurationError(
            f"mask has dtype {mask.dtype}: give torch.bool, True where a pair is left out"
        )

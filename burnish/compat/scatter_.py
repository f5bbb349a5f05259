"""KGIN and MCCLK take two functions from torch_scatter, which has to be compiled for every torch release."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from . import hook
from .mend import mend

if TYPE_CHECKING:
    from torch import Tensor


def scatter_mean(src: Tensor, index: Tensor, dim: int = 0, dim_size: int | None = None) -> Tensor:
    """Means of the rows of `src` (`[n, d]`) that share an index: `[dim_size, d]`, 0 where there are none."""
    import torch

    size = _size(index, dim, dim_size)
    total = src.new_zeros(size, *src.shape[1:]).index_add(0, index, src)
    count = torch.bincount(index, minlength=size).clamp(min=1).to(src.dtype)
    return total / count.reshape(-1, *[1] * (src.dim() - 1))


def scatter_softmax(src: Tensor, index: Tensor, dim: int = 0, dim_size: int | None = None) -> Tensor:
    """Softmax, column by column, over the rows of `src` (`[n, d]`) that share an index: `[n, d]`."""
    size = _size(index, dim, dim_size)
    spread = index.reshape(-1, *[1] * (src.dim() - 1)).expand_as(src)
    highest = src.new_full((size, *src.shape[1:]), float("-inf"))
    highest = highest.scatter_reduce(0, spread, src.detach(), "amax")
    grown = (src - highest[index]).exp()
    total = src.new_zeros(size, *src.shape[1:]).index_add(0, index, grown)
    return grown / total[index]


def _size(index: Tensor, dim: int, dim_size: int | None) -> int:
    if dim != 0 or index.dim() != 1:  # RecBole asks for nothing else
        raise ValueError(f"dim = {dim}, index of {index.dim()} dimensions: only rows are scattered here")
    return int(index.max()) + 1 if dim_size is None else dim_size


def _scatter_module() -> ModuleType:
    module = ModuleType("torch_scatter")
    module.scatter_mean = scatter_mean  # type: ignore[attr-defined]
    module.scatter_softmax = scatter_softmax  # type: ignore[attr-defined]
    return module


@mend(
    "torch-scatter-absent",
    library="torch_scatter",
    versions="torch_scatter absent or broken",
    symptom="KGIN and MCCLK do not train: they need torch_scatter, which must be compiled to match torch",
    modules=(
        "recbole.model.knowledge_aware_recommender.kgin",
        "recbole.model.knowledge_aware_recommender.mcclk",
    ),
    applies=lambda: hook.import_works("torch_scatter") is not None,
)
def stand_in_for_scatter(module: ModuleType) -> None:
    """Let the module's aggregators, and nobody else, see a small stand-in under the name torch_scatter."""
    aggregate = module.Aggregator.forward
    if hasattr(aggregate, "__wrapped__"):
        return
    stand_in = _scatter_module()

    def wrap(forward: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(forward)
        def with_stand_in(*args: Any, **kwargs: Any) -> Any:
            with hook.stand_ins({"torch_scatter": stand_in}):
                return forward(*args, **kwargs)

        return with_stand_in

    module.Aggregator.forward = wrap(aggregate)

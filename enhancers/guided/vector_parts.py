"""What of items' vectors is what the items are scored on: so a chosen item's part in a score has parts by attribute.

Where a part in a score is linear in the item's vector, it is the sum of what the vector is without attributes and of
what each attribute adds to it.  Ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

#: Gives items' vectors `[n_items, d]`, the padding's first, by a model as it is; None where it has none.
Vectors = Callable[[], Tensor | None]
#: What the parts of contributions are, for readers.
ABOUT = (
    "What it says about an attribute is the part of this that it has by values on the attribute, its own or those that "
    "a graph has passed on to it, in the place of the average item's."
)
#: Largest departure from a sum over attributes, as a share of the largest part, that counts as rounding.
ROUNDING = 1e-3
#: The same as a share of the largest number of the vectors themselves, which are in single precision.
_SINGLE = 1e-6


@dataclass(frozen=True)
class AttributeParts:
    """Vectors `[n_items, d]` are those of items without attributes, plus `amounts @ directions.T`.

    names: of the m attributes.  amounts: `[n_items, m]`, the padding's first.  directions: `[d, m]`.  In float64.
    """

    names: tuple[str, ...]
    amounts: Tensor
    directions: Tensor


def attribute_parts(model: nn.Module | None, vectors: Vectors) -> AttributeParts | None:
    """The parts of a model's item vectors by attribute, from the attached enhancer that knows attributes.

    None where there is none, where it says so itself, and where vectors are no sum over attributes (a graph backbone
    with layers of its own between table and output, or an enhancer that changes rows after it).
    """
    host: Any = getattr(model, "enhancers", None)
    for enhancer in host.enhancers() if hasattr(host, "enhancers") else []:
        tell = getattr(enhancer, "attribute_parts", None)
        if tell is not None:
            found: AttributeParts | None = tell(vectors)
            return found
    return None


def parts_along(
    names: Sequence[str], directions: Iterable[Tensor], at: Callable[[Tensor], Tensor | None]
) -> AttributeParts | None:
    """The parts along the first of some directions that explain all that attributes do to vectors, by trial.

    Parameters
    ----------
    names
        Of the m attributes.
    directions
        Each `[d, m]`, with orthonormal columns.
    at
        Gives vectors `[n_items, d]` with the attributes of all items times a factor each, `[m]`; None where there are
        none.

    Returns
    -------
    AttributeParts or None
        None where vectors are no sum over attributes along any of the directions: what all of them add, and what drawn
        shares of them add, has to be the amounts along them, within `ROUNDING`.
    """
    m = len(names)
    factors = torch.rand(m, generator=torch.Generator().manual_seed(0))
    tried = [at(torch.zeros(m)), at(torch.ones(m)), at(factors)]
    whole = [one.double() for one in tried if one is not None and bool(torch.isfinite(one).all())]
    if len(whole) < len(tried):
        return None
    added, some = whole[1] - whole[0], whole[2] - whole[0]
    near = max(ROUNDING * float(added.abs().max()), _SINGLE * float(whole[1].abs().max()))
    for way in directions:
        if way.shape[0] != added.shape[1]:
            continue
        along = way.detach().to(added)
        amounts = added @ along
        rest = added - amounts @ along.T, some - (amounts * factors.to(amounts)) @ along.T
        if max(float(one.abs().max()) for one in rest) <= near:
            return AttributeParts(tuple(names), amounts, along)
    return None


def attribute_evidence(names: Sequence[str], parts: Sequence[float], contribution: float) -> dict[str, Any]:
    """What the evidence of a reason has of a contribution's parts by attribute, the largest first."""
    by_attribute = dict(sorted(zip(names, parts, strict=True), key=lambda pair: -abs(pair[1])))
    return {"by_attribute": by_attribute, "beside_attributes": contribution - sum(parts)}

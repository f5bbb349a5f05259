"""The items of a backbone as vectors: what values of interactions are computed from."""

from __future__ import annotations

import torch
from torch import Tensor

from burnish.enhancers.anatomy.describe import Anatomy, is_output, propagation
from burnish.enhancers.quiet import evaluating, unchanged
from burnish.enhancers.state import HostState


@torch.no_grad()
def item_vectors(anatomy: Anatomy, state: HostState, enhancer: str) -> Tensor:
    """A vector for every item id, padding included: `[n_items, d]`, as other enhancers have refined it.

    Graph backbones: the items' propagated embeddings.  Others: the rows that meet users in the score (of an
    autoencoder the decoder's); of several such tables all, side by side, each scaled to rows of length 1 on average.
    Raises `UnsupportedError`, naming the enhancer, for a backbone without a table of items.
    """
    backbone = state.backbone
    if anatomy.output is not None and backbone is not None:
        call = propagation(backbone)
        with evaluating(backbone), unchanged(backbone):
            found = call() if call is not None else None
        if found is not None and is_output(found, anatomy.n_users, anatomy.n_items):
            return found[1].detach()
    tables = anatomy.need("item", enhancer)
    scored = list({table.key: table for _, table in anatomy.pairs}.values()) or [tables[-1]]
    parts = [state.refined(table, torch.arange(table.count, device=table.raw().device)) for table in scored]
    if len(parts) > 1:
        smallest = torch.finfo(parts[0].dtype).tiny
        parts = [part / part.norm(dim=1).mean().clamp_min(smallest) for part in parts]
    return torch.cat(parts, dim=1).detach()

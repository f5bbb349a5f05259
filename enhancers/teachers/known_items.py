"""Which items each user knows, as the training split says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.interactions import Positives, training_items

from .sparse import Sparse, incidence

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


def known_items(dataset: Dataset, anatomy: Anatomy, liked: Positives) -> Sparse:
    """Ones where a user has a positive interaction with an item: `[n_users, n_items]`, by RecBole's internal ids.

    dataset: the training split, of which nothing else is read.  Pairs count once; a sequence's first item, which is
    never a target, counts too.  liked: which interactions are positive (`burnish.enhancers.interactions.positives`).
    """
    users, items = training_items(dataset, anatomy.fields, liked)
    return incidence(users, items, (anatomy.n_users, anatomy.n_items), anatomy.device)

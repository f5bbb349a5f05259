"""Signs by which interactions that never happened can be told from others: values, and how known user and item are."""

from __future__ import annotations

import torch
from scipy.sparse import diags
from torch import Tensor

from burnish.enhancers.compress.svd import truncated_svd
from burnish.enhancers.shapley.cross_fit import cross_fitted
from burnish.enhancers.shapley.objectives import standardised
from burnish.enhancers.shapley.regression import regression_both
from burnish.enhancers.teachers.item_sides import KnownItems, WrittenOut
from burnish.enhancers.teachers.scores import Bilinear
from burnish.enhancers.teachers.sparse import Sparse, incidence

#: Of the regression of items on items; as in `shapley.regression`.
RIDGE = 500.0
#: Items whose regression is inverted in full, at most: it is computed anew for every planting.
IN_FULL = 5000
#: Widths of the vectors that the profile's values are taken with: a coarse look and a fine one.
WIDTHS = (16, 64)


@torch.no_grad()
def signs(
    users: Tensor, items: Tensor, n_users: int, n_items: int, *, seed: int = 0
) -> tuple[Tensor, tuple[str, ...]]:
    """Signs `[n, k]` of every interaction, and their names.

    No model is trained; all of it is closed form, from the interactions alone:

    - the regression game's exact Shapley value (what the item says of the user's others; `shapley.regression`) and the
      score the other way round (what the others say of the item: EASE's own), each as it is, a head, and as z-scores
      within the user and within the item;
    - the profile game's cross-fitted Shapley value (`shapley.cross_fit`) on spectral vectors of two widths, against the
      catalogue's mean and against the mean over interactions, each as it is (times the user's interactions) and as a
      z-score within the user;
    - how often item and user occur.

    users, items: `[n]` ids from 1, equal pairs count once in the regression.  seed: of folds and of the decomposition.

    Source: ours.
    """
    users, items = users.cpu(), items.cpu()
    known = incidence(users, items, (n_users, n_items))
    found: dict[str, Tensor] = {}
    own = torch.bincount(users, minlength=n_users)[users].float()
    occurs = torch.bincount(items, minlength=n_items)[items].float()
    says, said = regression_both(users, items, n_items, ridge=RIDGE, most_items=IN_FULL)
    for name, values in (("says", says), ("said", said)):
        a_head = values / own
        found[name] = values
        found[f"{name}, a head"] = a_head
        found[f"{name}, in user"] = standardised(values, users)
        found[f"{name}, in item"] = standardised(a_head, items)
    vectors = spectral_vectors(known, min(max(WIDTHS), min(known.shape) - 2), seed=seed)
    for width in dict.fromkeys(min(width, vectors.shape[1]) for width in WIDTHS):
        cut = vectors[:, :width]
        unit = torch.nn.functional.normalize(cut, dim=1)
        for name, centre in (("profile", True), ("profile beyond popularity", unit[items].mean(0))):
            values = cross_fitted(users, items, cut, centre=centre, seed=seed)
            found[f"{name} {width}"] = values * own
            found[f"{name} {width}, in user"] = standardised(values, users)
    found["popularity"] = occurs.log()
    found["popularity, in user"] = standardised(occurs.log(), users)
    found["activity"] = own.log()
    return torch.stack([values.float() for values in found.values()], dim=1), tuple(found)


def spectral_vectors(known: Sparse, width: int, *, seed: int = 0) -> Tensor:
    """Vectors of items `[n_items, width]`: the leading right singular vectors of the matrix, times the roots of values.

    Of each entry over the root of its user's and its item's counts, so that nobody counts for being active or popular.
    """
    matrix = known.matrix
    by_user, by_item = (diags(1.0 / matrix.sum(axis=axis).A1.clip(min=1.0) ** 0.5) for axis in (1, 0))
    even = Sparse((by_user @ matrix @ by_item).tocsr().astype("float32"))
    scores = Bilinear(KnownItems(even), WrittenOut(known.shape[1]), known.shape[1], name="interactions")
    tables = truncated_svd(scores, width, seed=seed)
    return tables.items * tables.values.sqrt()

"""Which test cases a model is asked: a digest by names, so that models of different kinds can be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from .data import load_dataset
from .identity import digest_tokens
from .request import make_config
from .session import alone
from .trust import no_saved_data


def case_digest(config: Any, part: Any) -> str:
    """A digest of the users and items of a test split, and of what makes one case of them.

    part: RecBole's data set of the split.  Models of one data set have the same digest when they are asked for the same
    items of the same users, and in the same way: a user's items in one ranking, or each in one of its own, as
    sequential models are.  (Where no user has two, that is the same.)
    """
    names = [part.uid_field, part.iid_field]
    if any(name is None or name not in part.inter_feat for name in names):
        return "none"
    digest = hashlib.blake2b(digest_size=16)
    ranks = []
    for name in names:
        ids, places = np.unique(np.asarray(part.inter_feat[name]), return_inverse=True)
        # Numbers depend on what else a kind of data set reads; tokens do not.
        tokens = np.asarray(part.id2token(name, ids), dtype=object).astype(str)
        order = np.argsort(tokens, kind="stable")
        rank = np.empty(len(ids), dtype=np.int64)
        rank[order] = np.arange(len(ids))
        ranks.append(rank[places])
        digest.update(digest_tokens(tokens[order]).encode())
    order = np.lexsort(ranks)
    for rank in ranks:
        digest.update(rank[order].tobytes())
    repeated = len(ranks[0]) > len(np.unique(ranks[0]))
    digest.update(b"rows" if repeated and config["MODEL_TYPE"].name == "SEQUENTIAL" else b"users")
    return digest.hexdigest()


@alone()
def case_digest_of(model: str, dataset: str, options: Mapping[str, Any]) -> str:
    """`case_digest` of a run that has not begun: the data are read and split as it would, and nothing is built.

    options: RecBole's, with the seed.  Raises what reading the data raises.
    """
    from recbole.utils import init_seed

    from burnish.enhancers.zoo import find_backbone

    config = make_config(find_backbone(model), dataset, {}, options)
    init_seed(config["seed"], config["reproducibility"])
    with no_saved_data(config):
        parts = load_dataset(config).build()
    return case_digest(config, parts[2])

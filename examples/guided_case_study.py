"""Three users of a guided run: what they like, why they get what they get, and what editing one score changes.

    burnish run -m BPR -d ml-100k -e guided --learning_rate 0.002 --stopping_step 10 --train_batch_size 2048 \
        --epochs 60 --output out
    python examples/guided_case_study.py out

docs/guided-case-study.md shows what it prints and what to make of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from burnish.enhancers.kept_embeddings import clear_kept
from burnish.trained.explain import Explainer
from burnish.trained.explanation_formats import line
from burnish.training.load import load_run
from burnish.training.trained_model import TrainedModel


def draw_users(made: Explainer, count: int, seed: int) -> list[str]:
    """Users with training interactions, by seed and nothing else."""
    everybody = [
        user for user in made.recommender.all_users() if made.recommender.seen_users[number(made, user)]
    ]
    return [str(user) for user in np.random.default_rng(seed).choice(sorted(everybody), count, replace=False)]


def number(made: Explainer, user: str) -> int:
    """The internal id of a user."""
    data = made.trained.dataset
    return int(data.token2id(data.uid_field, np.array([user]))[0])


def liked(trained: TrainedModel, made: Explainer, user: str, count: int) -> tuple[int, list[str]]:
    """How many training interactions a user has, and the titles of the best rated (of equals the latest)."""
    data, columns = trained.dataset, trained.splits.training.inter_feat.interaction
    mine = columns[data.uid_field] == number(made, user)
    keys = [columns[name][mine].numpy() for name in ("timestamp", "rating") if name in columns]
    items = columns[data.iid_field][mine].numpy()
    order = np.lexsort(keys)[::-1] if keys else np.arange(len(items))
    tokens = trained.tokens(data.iid_field, items[order[:count]])
    return len(items), [made.titles.get(token, token) for token in tokens]


@contextmanager
def edited(trained: TrainedModel, item: str, attribute: str, value: float) -> Iterator[None]:
    """One standardised score of one item set to another value, and put back."""
    guided = trained.model.enhancers["guided"]
    data = trained.dataset
    row = int(data.token2id(data.iid_field, np.array([item]))[0])
    place = guided.attributes.index(attribute)
    before = guided.guided[row, place].clone()
    try:
        guided.guided[row, place] = value
        clear_kept(trained.model)
        yield
    finally:
        guided.guided[row, place] = before
        clear_kept(trained.model)


@torch.no_grad()
def standing(made: Explainer, user: str, item: str) -> tuple[float, int, int]:
    """An item's score for a user, its rank among what may be recommended, and how many users have it in their top 5."""
    recommender, data = made.recommender, made.trained.dataset
    row = int(data.token2id(data.iid_field, np.array([item]))[0])
    ids = np.arange(1, data.user_num)
    scores = recommender.scores(ids)
    free = torch.from_numpy(recommender.seen_items & ~recommender.known[ids].toarray()).to(scores.device)
    scores = scores.masked_fill(~free, -torch.inf)
    ranks = (scores > scores[:, row : row + 1]).sum(dim=1) + 1
    at = number(made, user) - 1
    return float(scores[at, row]), int(ranks[at]), int((free[:, row] & (ranks <= 5)).sum())


def steer(made: Explainer, user: str, one: Any) -> None:
    """Turn around the attribute that speaks most for the first recommendation, and say what happens."""
    best = max(one.reasons, key=lambda reason: reason.contribution)
    attribute, value = best.evidence["attribute"], best.evidence["item_score"]
    before = standing(made, user, one.item)
    with edited(made.trained, one.item, attribute, -value):
        after = standing(made, user, one.item)
        first = next(iter(made.explanations(user)))
    print(f"  edit {attribute} of {one.title} from {value:+.1f} to {-value:+.1f}:")
    print(f"    their score {before[0]:.2f} -> {after[0]:.2f}, their rank {before[1]} -> {after[1]}")
    print(f"    their first is now {first.title}")
    print(f"    users with it among their first 5: {before[2]} -> {after[2]}\n")


def main() -> None:
    """Print the case study."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("run", type=Path)
    words.add_argument("--seed", type=int, default=6, help="draws the users")
    words.add_argument("--users", type=int, default=3, help="how many")
    given = words.parse_args()
    trained = load_run(given.run)
    made = Explainer(trained, reasons=3, enhancer="guided")
    everything = Explainer(
        trained, top=1, reasons=len(trained.model.enhancers["guided"].attributes), enhancer="guided"
    )
    for user in draw_users(made, given.users, given.seed):
        count, titles = liked(trained, made, user, 8)
        print(f"USER {user}, {count} training interactions")
        print(f"  rated best, latest first: {'; '.join(titles)}")
        tastes = made.profile("user", user) or {}
        print(f"  profile: {', '.join(f'{name} {value:+.1f}' for name, value in tastes.items())}")
        for one in made.explanations(user):
            print(f"  {one.title} ({one.item}): score {one.score:.2f}, by attributes {one.share or 0:.0%}")
            for reason in one.reasons:
                print(f"    {line(reason)}")
        steer(made, user, next(everything.explanations(user)))


if __name__ == "__main__":
    main()

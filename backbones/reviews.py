"""Reviews beside RecBole's atomic files: read, aligned with the interactions, and kept with the data set.

A row of the reviews file belongs to an interaction of the same user and item: to the one of the same time where both
say when, else to the pair's interactions in the order of time.  A pair may have many reviews or none; several reviews
of one interaction become one text.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from recbole.data.dataset import Dataset
from recbole.utils import FeatureSource, FeatureType

from burnish.errors import DataError

from .checks import checked_share
from .review_files import NO_FILE, find_review_file, read_reviews

#: The column that numbers the interactions of a `ReviewDataset`, from 1.  Models look up training rows by it.
INTERACTION_ROW = "interaction_row"

IntArray = NDArray[np.int64]


class ReviewDataset(Dataset):
    """RecBole's data set with a text for the interactions that have a review.

    texts: one text an interaction, by its number in the column `INTERACTION_ROW` (number 0 is none); "" without a
        review.  Only the texts of a training split may be given to a model, see `training_texts`.
    time_rank: the place of each interaction in the order of time, by the same number.  Equal times keep the order of
        the file; so does everything where there are no times.
    counts: what was found, for messages: `reviews`, `used`, `unknown` (of users or items without interactions, or of
        pairs that never interacted), `interactions`, `with_review`, `dropped`.

    Options of RecBole's config: `review_file` (a name inside the data set's folder or a path; by default
    `NAME.reviews.parquet`, `.tsv.gz` or `.tsv`; `none` for a data set without reviews), `REVIEW_FIELD` (the column),
    `SUMMARY_FIELD` (a column put before the review, or none), `drop_reviews` (the share of interactions that lose
    their review, at random by `seed`: to measure what missing reviews cost).
    """

    texts: list[str]
    time_rank: IntArray
    counts: dict[str, int]

    def _data_processing(self) -> None:
        super()._data_processing()
        frame = self.inter_feat
        self.counts = {"interactions": len(frame)}
        self.time_rank = _time_rank(frame, self.time_field)
        self.texts = ["", *self._aligned(frame)]
        self._drop_reviews()
        frame[INTERACTION_ROW] = np.arange(1, len(frame) + 1)
        self.set_field_property(INTERACTION_ROW, FeatureType.TOKEN, FeatureSource.INTERACTION, 1)
        self.field2id_token[INTERACTION_ROW] = np.arange(len(frame) + 1).astype(str)

    def build(self) -> list[Any]:
        """RecBole's split; the training part is put into the order of time, which recurrent models read it in."""
        parts = super().build()
        rows = np.asarray(parts[0].inter_feat[INTERACTION_ROW])
        parts[0].inter_feat._reindex(torch.from_numpy(np.argsort(self.time_rank[rows], kind="stable")))
        return parts

    def training_texts(self) -> list[str]:
        """One text an interaction of this part of the data set, in the order of its rows."""
        return [self.texts[int(row)] for row in self.inter_feat[INTERACTION_ROW]]

    # ------------------------------------------------------------------ reading

    def _aligned(self, frame: pd.DataFrame) -> list[str]:
        """One text an interaction."""
        wanted = self.config["review_file"]
        if wanted is not None and str(wanted).lower() == NO_FILE:
            self.counts |= {"reviews": 0, "used": 0, "unknown": 0, "with_review": 0}
            return [""] * len(frame)
        file = find_review_file(self.dataset_path, self.dataset_name, wanted)
        reviews = read_reviews(
            file,
            user=self.uid_field,
            item=self.iid_field,
            time=self.time_field,
            text=self.config["REVIEW_FIELD"] or "review",
            summary=self.config["SUMMARY_FIELD"],
        )
        users, items = (
            reviews[column].map(self.field2token_id[field]).to_numpy(dtype=np.float64, na_value=np.nan)
            for column, field in (("user", self.uid_field), ("item", self.iid_field))
        )
        times = reviews["time"].to_numpy() if "time" in reviews else np.full(len(reviews), np.nan)
        owner = _owners(
            pd.DataFrame({"user": users, "item": items, "time": times}),
            frame[[self.uid_field, self.iid_field]].to_numpy(dtype=np.int64),
            frame[self.time_field].to_numpy(dtype=np.float64) if self.time_field in frame else None,
        )
        texts = [""] * len(frame)
        for at, text in zip(owner, reviews["text"], strict=True):
            if at >= 0 and text:
                texts[at] = f"{texts[at]}\n{text}" if texts[at] else text
        self.counts |= {
            "reviews": len(reviews),
            "used": int((owner >= 0).sum()),
            "unknown": int((owner < 0).sum()),
            "with_review": sum(bool(text.strip()) for text in texts),
        }
        self._say(file)
        return texts

    def _say(self, file: Any) -> None:
        counts = self.counts
        if counts["reviews"] == 0:
            raise DataError(f"{file} holds no reviews; say review_file: none for a data set without them")
        if counts["used"] == 0:
            raise DataError(
                f"{file}: none of its {counts['reviews']} reviews belongs to an interaction of {self.dataset_name!r}; "
                f"its columns {self.uid_field!r} and {self.iid_field!r} must hold the ids of the .inter file"
            )
        self.logger.info(
            f"{file}: {counts['used']} of {counts['reviews']} reviews belong to an interaction "
            f"({counts['unknown']} are of other users, items or pairs); {counts['with_review']} of "
            f"{counts['interactions']} interactions have a text"
        )

    def _drop_reviews(self) -> None:
        share = checked_share("drop_reviews", self.config["drop_reviews"] or 0.0)
        have = np.array([number for number, text in enumerate(self.texts) if text.strip()], dtype=np.int64)
        random = np.random.default_rng([int(self.config["seed"]), 20])
        lost = random.permutation(have)[: round(share * len(have))]
        for number in lost:
            self.texts[number] = ""
        self.counts["dropped"] = len(lost)


def _time_rank(frame: pd.DataFrame, time: str | None) -> IntArray:
    """Place in the order of time by the number of the interaction (from 1)."""
    rank = np.zeros(len(frame) + 1, dtype=np.int64)
    if time is not None and time in frame:
        # Here still in double precision: RecBole's tensors hold times to about two minutes only.
        order = np.argsort(frame[time].to_numpy(dtype=np.float64), kind="stable")
    else:
        order = np.arange(len(frame))
    rank[1:][order] = np.arange(len(frame))
    return rank


def _owners(reviews: pd.DataFrame, pairs: IntArray, times: NDArray[np.float64] | None) -> IntArray:
    """The interaction that each review belongs to, -1 for none.

    reviews: columns user, item (internal ids, NaN where unknown), time (NaN where unknown).  pairs: `[n, 2]`, times:
        `[n]` of the interactions.
    """
    inter = pd.DataFrame(
        {"user": pairs[:, 0].astype(float), "item": pairs[:, 1].astype(float), "owner": np.arange(len(pairs))}
    )
    inter["time"] = np.nan if times is None else times
    owner = np.full(len(reviews), -1, dtype=np.int64)
    exact = reviews.assign(row=np.arange(len(reviews))).dropna()
    # Of several interactions of one pair and time the first takes the review.
    first = inter.dropna().drop_duplicates(["user", "item", "time"])
    matched = exact.merge(first, on=["user", "item", "time"])
    owner[matched["row"]] = matched["owner"]
    rest = reviews[owner < 0].dropna(subset=["user", "item"])
    if len(rest):
        _share_out(rest, inter, owner)
    return owner


def _share_out(rest: pd.DataFrame, inter: pd.DataFrame, owner: IntArray) -> None:
    """Give what no time decides to the pair's interactions without a review, in the order of time; else to its last."""
    free = inter[~inter["owner"].isin(owner[owner >= 0])].sort_values("time", kind="stable")
    free = free.assign(place=free.groupby(["user", "item"]).cumcount())
    rest = rest.assign(row=rest.index).sort_values("time", kind="stable")
    rest = rest.assign(place=rest.groupby(["user", "item"]).cumcount())
    matched = rest.merge(free[["user", "item", "place", "owner"]], on=["user", "item", "place"])
    owner[matched["row"]] = matched["owner"]
    left = rest[owner[rest["row"]] < 0]
    last = inter.sort_values("time", kind="stable").drop_duplicates(["user", "item"], keep="last")
    matched = left.merge(last[["user", "item", "owner"]], on=["user", "item"])
    owner[matched["row"]] = matched["owner"]

"""Files of reviews and of items in the shapes in which Amazon's and Yelp's collections are published."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

#: Texts that break careless readers.
NASTY = [
    "",
    'a "quoted" word and 12" more',
    '"begins with a quote',
    "tab\there",
    "two\nlines\r\nor\rthree",
    "back\\slash \\t is no tab, \\n no line end \\",
    "Über 東京 🎸 \u2028 line separator \x85 \x1c",
    "NULL",
    "NA",
    "nul \0 inside",
    "  blanks around  ",
    "#comment",
    "a,b;c",
]


class Row(NamedTuple):
    """One review, whatever the collection."""

    user: str
    item: str
    stars: float = 5.0
    seconds: int = 1_400_000_000
    text: str = "good"
    summary: str = "fine"


def amazon14(row: Row) -> dict[str, Any]:
    """As in reviews_Musical_Instruments_5.json.gz."""
    return {
        "reviewerID": row.user,
        "asin": row.item,
        "reviewerName": "J. Doe",
        "helpful": [2, 3],
        "reviewText": row.text,
        "overall": row.stars,
        "summary": row.summary,
        "unixReviewTime": row.seconds,
        "reviewTime": "07 13, 2013",
    }


def amazon18(row: Row) -> dict[str, Any]:
    """As in Musical_Instruments_5.json.gz of 2018."""
    return {
        "overall": row.stars,
        "vote": "1,234",
        "verified": True,
        "reviewTime": "07 13, 2013",
        "reviewerID": row.user,
        "asin": row.item,
        "style": {"Color:": " Black"},
        "reviewerName": "J. Doe",
        "reviewText": row.text,
        "summary": row.summary,
        "unixReviewTime": row.seconds,
    }


def amazon23(row: Row) -> dict[str, Any]:
    """As in Musical_Instruments.jsonl.gz of 2023."""
    return {
        "rating": row.stars,
        "title": row.summary,
        "text": row.text,
        "images": [],
        "asin": f"{row.item}X",
        "parent_asin": row.item,
        "user_id": row.user,
        "timestamp": row.seconds * 1000 + 250,
        "helpful_vote": 7,
        "verified_purchase": False,
    }


def yelp(row: Row) -> dict[str, Any]:
    """As in yelp_academic_dataset_review.json; 1400000000 is 2014-05-13 16:53:20 UTC."""
    from datetime import datetime, timezone

    moment = datetime.fromtimestamp(row.seconds, timezone.utc)
    return {
        "review_id": f"{row.user}-{row.item}",
        "user_id": row.user,
        "business_id": row.item,
        "stars": row.stars,
        "useful": 1,
        "funny": 0,
        "cool": 2,
        "text": row.text,
        "date": moment.strftime("%Y-%m-%d %H:%M:%S"),
    }


SHAPES: dict[str, Callable[[Row], dict[str, Any]]] = {
    "amazon-2014": amazon14,
    "amazon-2018": amazon18,
    "amazon-2023": amazon23,
    "yelp": yelp,
}


def write_lines(path: Path, lines: Iterable[object]) -> Path:
    """One line each: text as it is, everything else as JSON.  Gzip by the name."""
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    data = text.encode("utf-8")
    path.write_bytes(gzip.compress(data, 1) if path.suffix == ".gz" else data)
    return path


def block(users: int, items: int, texts: Iterable[str] = ("good",)) -> list[Row]:
    """Every user rated every item; the texts take turns."""
    cycle = list(texts)
    pairs = [(user, item) for user in range(users) for item in range(items)]
    return [
        Row(
            f"U{user}", f"I{item}", float(1 + n % 5), 1_400_000_000 + 1000 * n, cycle[n % len(cycle)], f"s{n}"
        )
        for n, (user, item) in enumerate(pairs)
    ]

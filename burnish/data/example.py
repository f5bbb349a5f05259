"""Two tables to try `burnish data csv` with: `python -m burnish.data.example` writes ratings.csv and books.csv here."""

from __future__ import annotations

import csv
import random
import sys
from datetime import datetime, timedelta
from pathlib import Path

from burnish.errors import ConfigurationError
from burnish.files.whole import written_whole

CUSTOMERS, BOOKS, EACH = 300, 150, 18
_GENRES = ("Mystery", "Science Fiction", "Romance", "History", "Poetry")
_NOUNS = ("House", "River", "Letter", "Winter", "Garden", "Stranger", "Island", "Clock", "Road", "Orchard")
_WORDS = (
    "Quiet",
    "Last",
    "Hidden",
    "Burning",
    "Distant",
    "Silver",
    "Broken",
    "Secret",
    "Endless",
    "Paper",
    "Long",
)


def write_example(folder: Path, *, seed: int = 7) -> list[Path]:
    """Write ratings.csv (customer, sku, stars, when) and books.csv (sku, title, genres, price).

    Customers prefer two genres and popular books; all is made up.  Raises `ConfigurationError` where one is there.
    """
    files = [folder / "ratings.csv", folder / "books.csv"]
    for file in files:
        if file.exists():
            raise ConfigurationError(f"{file} is there already; call this in another folder")
    draw = random.Random(seed)
    genres = [[_GENRES[b % 5], *draw.sample(_GENRES, draw.randint(0, 1))] for b in range(BOOKS)]
    popular = [1 / (1 + place) ** 0.5 for place in draw.sample(range(BOOKS), BOOKS)]
    with written_whole(files[1]) as beside, beside.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(("sku", "title", "genres", "price"))
        for b in range(BOOKS):
            title = f"The {_WORDS[b % 11]} {_NOUNS[b // 11 % 10]}" + (
                ' ("special" edition)' if b >= 110 else ""
            )
            price = f"{draw.randint(5, 30)}.{draw.choice(('50', '90'))}"
            rows.writerow((f"{b:03d}", title, "|".join(dict.fromkeys(genres[b])), price))
    with written_whole(files[0]) as beside, beside.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(("customer", "sku", "stars", "when"))
        for customer in range(CUSTOMERS):
            liked = set(draw.sample(_GENRES, 2))
            chances = [
                chance * (6 if liked & set(own) else 1) for chance, own in zip(popular, genres, strict=True)
            ]
            moment = datetime(2024, 1, 1) + timedelta(hours=draw.randint(0, 2000))
            for book in dict.fromkeys(draw.choices(range(BOOKS), chances, k=EACH)):
                moment += timedelta(minutes=draw.randint(1, 20000))
                stars = draw.choice((4, 5) if liked & set(genres[book]) else (2, 3, 4))
                rows.writerow((f"C{customer:04d}", f"{book:03d}", stars, f"{moment:%Y-%m-%d %H:%M}"))
    return files


if __name__ == "__main__":
    try:
        print("written:", *write_example(Path()))
    except ConfigurationError as error:
        sys.exit(f"error: {error}")

"""One conversion, whatever the source: read ids, filter, read again and write what stays."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from burnish.errors import ConfigurationError, DataError, unknown_name

from .card import Card, RowCounts, Size
from .filtering import Core, Rows, core, latest_rows, milder
from .folder import check_target, written_whole_folder
from .formats import Description, Format, Head
from .lines import check_file, lines
from .record_values import decimal
from .records import Broken, BrokenLineError, Record, parse
from .scan import Scan, scan
from .tables import write_table
from .texts import ENDINGS, review_writer

#: `watch(what is being done, bytes read so far, bytes of the file)`.
Watch = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Options:
    """What stays and how it is written.

    min_user, min_item: the least ratings of a user and of an item, iterated to a fixed point; 1 keeps all.
    file_format: "parquet" or "tsv", of the file of reviews.  dedupe: of several ratings of one pair keep the
    "latest" or "all".  skip_broken: leave broken lines out, and count them.  force: replace a converted folder.
    """

    min_user: int = 20
    min_item: int = 5
    file_format: str = "parquet"
    dedupe: str = "latest"
    skip_broken: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        for name in ("min_user", "min_item"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} = {getattr(self, name)}: must be 1 (keep all) or more")
        if self.file_format not in ENDINGS:
            raise unknown_name("format", self.file_format, ENDINGS)
        if self.dedupe not in ("latest", "all"):
            raise unknown_name("value of dedupe", self.dedupe, ("latest", "all"))


@dataclass(frozen=True)
class Published:
    """The files of one source.  recognise: the kind of file, from the first record of the reviews.

    described: (role, file, what its records say) of files about items and users.
    """

    reviews: Path
    recognise: Callable[[Record], Format]
    described: tuple[tuple[Literal["items", "users"], Path, Description], ...] = ()


def convert(published: Published, out: Path, options: Options, watch: Watch | None = None) -> Card:
    """Make the folder `out` with RecBole's atomic files and a file of reviews, all named after the folder.

    The reviews are read twice: once for ids, ratings and times (32 bytes a row), once to write the rows that stay,
    so that texts are never in memory together.  Raises `DataError` and `ConfigurationError`; then, and when it is
    interrupted, nothing is left behind.
    """
    check_target(out, options.force)
    inputs = [("reviews", published.reviews), *((role, path) for role, path, _ in published.described)]
    sources = tuple((role, path.name, check_file(path)) for role, path in inputs)
    before = os.stat(published.reviews)
    skipped = Broken(published.reviews, options.skip_broken)
    scanned = scan(published.reviews, published.recognise, skipped, _progress(watch, "reading ids"))
    unique, stays = _filtered(published.reviews, scanned, options)
    with written_whole_folder(out, options.force) as folder:
        writing = _Writing(published.reviews, scanned, stays.rows, folder / out.name, options, skipped)
        writing.run(_progress(watch, "writing reviews"))
        after = os.stat(published.reviews)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise DataError(
                f"{published.reviews} changed while it was read; convert it again when it is complete"
            )
        described, others = _describe(published, folder / out.name, writing, options, watch)
        read = {published.reviews.name: skipped, **others}
        card = Card(
            name=out.name,
            kind=scanned.format.name,
            sources=sources,
            min_user=options.min_user,
            min_item=options.min_item,
            dedupe=options.dedupe,
            before=Size(scanned.n_users, scanned.n_items, len(scanned.line)),
            duplicates=len(scanned.line) - len(unique),
            rounds=stays.rounds,
            after=Size(len(writing.users), len(writing.items), len(stays.rows)),
            written=writing.written,
            described=described,
            broken={name: one.count for name, one in read.items()},
            cut={name: one.cut for name, one in read.items() if one.cut},
            files=tuple(sorted(path.name for path in folder.iterdir())),
        )
        card.write(folder)
    return card


def _progress(watch: Watch | None, stage: str) -> Callable[[int, int], None] | None:
    return None if watch is None else lambda done, total: watch(stage, done, total)


def _filtered(path: Path, scanned: Scan, options: Options) -> tuple[Rows, Core]:
    """Rows left after earlier ratings of a pair are out, and the rows that stay after the filter."""
    unique = np.arange(len(scanned.line), dtype=np.int64)
    if options.dedupe == "latest":
        unique = latest_rows(scanned.user, scanned.item, scanned.time)
    user, item = scanned.user[unique], scanned.item[unique]
    kept = core(user, item, options.min_user, options.min_item)
    if not len(kept.rows):
        nearest = milder(user, item, options.min_user, options.min_item)
        milder_ones = "; ".join(f"--min-user {u} --min-item {i} keeps {n:,}" for u, i, n in nearest)
        raise DataError(
            f"{path}: none of its {len(unique):,} ratings stays with --min-user {options.min_user} --min-item "
            f"{options.min_item}. Lower them: {milder_ones}"
        )
    return unique, Core(unique[kept.rows], kept.rounds)


@dataclass
class _Writing:
    """The second reading: the rows that stay, into the .inter file and the file of reviews."""

    path: Path
    scanned: Scan
    rows: Rows
    stem: Path
    options: Options
    broken: Broken
    #: Ids by their number of the first reading.
    users: dict[int, str] = field(default_factory=dict)
    items: dict[int, str] = field(default_factory=dict)
    written: RowCounts = field(default_factory=RowCounts)

    def run(self, progress: Callable[[int, int], None] | None) -> None:
        """Read and write everything."""
        format = self.scanned.format
        line = self.scanned.line[self.rows].data
        user, item = self.scanned.user[self.rows].data, self.scanned.item[self.rows].data
        texts = review_writer(self.options.file_format, self.stem, format.extras)
        file = self.stem.with_name(f"{self.stem.name}.inter")
        at, total = 0, len(line)
        with texts, file.open("w", encoding="utf-8", newline="\n") as inter:
            inter.write("user_id:token\titem_id:token\trating:float\ttimestamp:float\n")
            for number, raw in lines(self.path, progress, self.broken.at_cut):
                if at == total or number != line[at]:
                    continue
                head, record = self._again(number, raw)
                self._check(self.users, user[at], head.user)
                self._check(self.items, item[at], head.item)
                at += 1
                body = format.body(record)
                inter.write(f"{head.user}\t{head.item}\t{decimal(head.rating)}\t{decimal(head.timestamp)}\n")
                texts.write(head, body)
                self.written.count(head, body)
        if at != total:
            raise DataError(
                f"{self.path} became shorter while it was read; convert it again when it is complete"
            )

    def _again(self, number: int, raw: bytes) -> tuple[Head, Record]:
        try:
            record = parse(raw)
            return self.scanned.format.head(record), record
        except BrokenLineError as error:
            raise DataError(f"{self.path}, line {number} changed while the file was read: {error}") from error

    def _check(self, known: dict[int, str], code: int, name: str) -> None:
        if known.setdefault(code, name) != name:
            raise DataError(
                f"{self.path}: the ids {known[code]!r} and {name!r} have one hash, or the file changed while it was "
                f"read; run the command again (hashes differ from run to run unless PYTHONHASHSEED is set)"
            )


def _describe(
    published: Published, stem: Path, writing: _Writing, options: Options, watch: Watch | None
) -> tuple[dict[str, int], dict[str, Broken]]:
    """Write the files of items and users: how many are described, and which lines were broken, by file."""
    described, broken = {}, {}
    for role, path, description in published.described:
        wanted = dict.fromkeys((writing.items if role == "items" else writing.users).values())
        target = stem.with_name(f"{stem.name}.{description.kind}")
        skipped = Broken(path, options.skip_broken)
        progress = _progress(watch, f"writing {role}")
        described[description.kind] = write_table(path, target, description, wanted, skipped, progress)
        broken[path.name] = skipped
    return described, broken

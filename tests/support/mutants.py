"""Good inputs spoilt at random: files of data, options, and the other files that people write or copy by hand.

`python tests/support/mutants.py 2000` tries so many, one after the other, and counts how they end: trained, refused in
words that name the file or the option, refused without (vague), or stopped by a bare error.  `--first N` begins at
mutant N, `--show` prints every bare and vague one, `--all` every one.  A mutant is a number: the same number is the
same mutant.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from spoilt_world import COMMON, PLAN, POOL, SHAPES, WORLDS, Rows, good_files, written

from burnish.errors import BurnishError

# ---------------------------------------------------------------------- files of data


def misspelt(word: str, draw: random.Random) -> str:
    if len(word) < 2:
        return word + "x"
    at = draw.randrange(len(word) - 1)
    return draw.choice(
        (
            word[:at] + word[at + 1 :],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + "x" + word[at:],
        )
    )


def spoil_head(head: list[str], rows: Rows, draw: random.Random) -> tuple[list[str], Rows]:
    at = draw.randrange(len(head))
    name, _, kind = head[at].partition(":")
    other = draw.choice([k for k in ("token", "float", "token_seq", "float_seq") if k != kind])
    new = draw.choice(
        (
            *(name, f"{name}:{other}", f"{name}:{misspelt(kind, draw)}", f"{misspelt(name, draw)}:{kind}"),
            *(f" {head[at]}", f"{head[at]} ", f"{name}:", f":{kind}", head[at].upper(), f"{name}:a:{kind}"),
            *("", head[(at + 1) % len(head)], f"{name};{kind}", f"{name}:int", f'"{head[at]}"'),
        )
    )
    return [*head[:at], new, *head[at + 1 :]], rows


def spoil_columns(head: list[str], rows: Rows, draw: random.Random) -> tuple[list[str], Rows]:
    at = draw.randrange(len(head))
    match draw.randrange(5):
        case 0:
            return head[:at] + head[at + 1 :], [row[:at] + row[at + 1 :] for row in rows]
        case 1:
            return head[:at] + head[at + 1 :], rows
        case 2:
            return [*head, head[at]], [[*row, row[at]] for row in rows]
        case 3:
            return [], rows
        case _:
            order = draw.sample(range(len(head)), len(head))
            return [head[i] for i in order], [[row[i] for i in order] for row in rows]


CELLS = (
    *(
        "",
        " ",
        "abc",
        "—",
        "1,5",
        "inf",
        "nan",
        "NaN",
        "NA",
        "null",
        "None",
        "-1",
        "1e999",
        "0",
        "[PAD]",
        "é",
    ),
    *(
        "2020-09-13T12:26:40",
        "2020-09-13 12:26",
        "13.09.2020",
        '"',
        '"a',
        "x\ty",
        "'",
        "\\",
        "1_000",
        "9" * 40,
    ),
)


def spoil_cells(head: list[str], rows: Rows, draw: random.Random) -> tuple[list[str], Rows]:
    """One cell, some, or a whole column."""
    at, value = draw.randrange(len(head)), draw.choice(CELLS)
    share = draw.choice((0.0, 0.3, 1.0))
    chosen = draw.randrange(len(rows))
    return head, [
        [*row[:at], value, *row[at + 1 :]] if n == chosen or draw.random() < share else row
        for n, row in enumerate(rows)
    ]


def spoil_ids(head: list[str], rows: Rows, draw: random.Random) -> tuple[list[str], Rows]:
    """Ids of another kind, or only some of them, or twice."""
    match draw.randrange(4):
        case 0:
            return head, [[row[0][1:], *row[1:]] for row in rows]
        case 1:
            return head, rows[: max(1, len(rows) // draw.randint(2, 9))]
        case 2:
            return head, rows + rows[: draw.randint(1, 5)]
        case _:
            return head, [[row[0] + ".0", *row[1:]] for row in rows]


def spoil_text(text: str, draw: random.Random) -> bytes | None:
    """The bytes of a file; None takes it away."""
    lines = text.splitlines(keepends=True)
    at = draw.randrange(1, len(lines))
    whole = text.encode()
    choices: tuple[Callable[[], bytes | None], ...] = (
        lambda: b"\xef\xbb\xbf" + whole,
        lambda: text.encode("utf-16"),
        lambda: text.encode("utf-16-le"),
        lambda: text.replace("i1", "é1").encode("latin-1"),
        lambda: text.replace("u1", "é1").encode(),
        lambda: whole[: len(whole) // 2] + b"\xff\xfe" + whole[len(whole) // 2 :],
        lambda: text.replace("\t", ",").encode(),
        lambda: text.replace("\t", " ").encode(),
        lambda: text.replace("\t", "\t\t").encode(),
        lambda: (lines[0] + "".join(lines[1:]).replace("\t", ",")).encode(),
        lambda: "".join([*lines[:at], lines[at].replace("\t", ","), *lines[at + 1 :]]).encode(),
        lambda: "".join([*lines[:at], lines[at].rstrip("\n") + "\tmore\n", *lines[at + 1 :]]).encode(),
        lambda: "".join([*lines[:at], lines[at].split("\t")[0] + "\n", *lines[at + 1 :]]).encode(),
        lambda: (lines[0] + "".join(line.rstrip("\n") + "\tmore\n" for line in lines[1:])).encode(),
        lambda: "".join([*lines[:at], "\n", *lines[at:]]).encode(),
        lambda: ("\n" + text).encode(),
        lambda: "".join(lines[1:]).encode(),
        lambda: lines[0].encode(),
        lambda: lines[0].rstrip("\n").encode(),
        lambda: "".join(lines[:2]).encode(),
        lambda: "".join(lines[:3]).encode(),
        lambda: b"",
        lambda: b"\n",
        lambda: text.replace("\n", "\r\n").encode(),
        lambda: text.replace("\n", "\r").encode(),
        lambda: whole[: len(whole) - draw.randint(1, 12)],
        lambda: whole[: draw.randint(1, len(whole))],
        lambda: whole[:200] + b"\0" * 3 + whole[200:],
        lambda: "".join([*lines[:at], '"' + lines[at], *lines[at + 1 :]]).encode(),
        lambda: draw.randbytes(300),
        lambda: b"PK\x03\x04" + draw.randbytes(60),
        lambda: None,
    )
    return draw.choice(choices)()


def spoil_file(text: str, draw: random.Random) -> bytes | None:
    kind = draw.choice((spoil_head, spoil_columns, spoil_cells, spoil_cells, spoil_ids, None, None))
    if kind is None:
        return spoil_text(text, draw)
    head, *rows = [line.split("\t") for line in text.splitlines()]
    return written(*kind(head, rows, draw)).replace("\n\n", "\n").encode()


# ---------------------------------------------------------------------- options and nested content


def places(content: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in nested mappings and lists."""
    pairs = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for key, value in pairs:
        yield (*at, key)
        yield from places(value, (*at, key))


def spoil_nested(content: Any, draw: random.Random, within: tuple[Any, ...] | None = None) -> tuple[Any, str]:
    """A copy with something replaced, renamed, added or taken away, and the name of what was touched."""
    content = copy.deepcopy(content)
    place = draw.choice([p for p in places(content) if within is None or p[: len(within)] == within])
    holder = content
    for key in place[:-1]:
        holder = holder[key]
    key = place[-1]
    match draw.randrange(6):
        case 0 if isinstance(holder, dict) and len(place) > 1:
            holder[misspelt(str(key), draw)] = holder.pop(key)
        case 1 if isinstance(holder[key], str):
            holder[key] = misspelt(holder[key], draw)
        case 2 if len(place) > 1:
            del holder[key]
        case 3 if isinstance(holder[key], list):
            holder[key] = [*holder[key], draw.choice((*POOL, *holder[key]))]
        case 4 if isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
            holder[key] = draw.choice(
                (0, -holder[key], holder[key] * 1000, holder[key] + 0.5, str(holder[key]))
            )
        case _:
            holder[key] = copy.deepcopy(draw.choice(POOL))
    return content, next(str(part) for part in place if isinstance(part, str))


# ---------------------------------------------------------------------- mutants


@dataclass
class Mutant:
    """What was spoilt, and what is done with it.  names: words of which a refusal must hold one."""

    what: str
    names: tuple[str, ...]
    act: Callable[[], Any]


def make_mutant(number: int, folder: Path) -> Mutant:
    """The mutant of a number, with its files written into an empty folder."""
    draw = random.Random(number)
    kind = draw.choices(
        ("data", "options", "shape", "yaml", "run.json", "scores", "plan", "both"),
        (8, 5, 5, 1, 2, 1, 2, 1),
    )[0]
    files = good_files(random.Random(1))
    model = draw.choice(sorted(WORLDS))
    options = copy.deepcopy({**COMMON, **WORLDS[model], "data_path": str(folder)})
    data = folder / "d"
    data.mkdir(parents=True)
    for suffix, text in files.items():
        (data / f"d.{suffix}").write_text(text, encoding="utf-8")
    lines = files["inter"].splitlines(keepends=True)
    for part, rows in (("part1", lines[1:161]), ("part2", lines[161:201]), ("part3", lines[201:])):
        (data / f"d.{part}.inter").write_text(lines[0] + "".join(rows), encoding="utf-8")
    if kind == "data":
        return _spoilt_data(model, options, files, data, draw)
    if kind == "shape":
        shape = draw.choice(SHAPES)
        return Mutant(f"{model} {shape}", tuple(shape), _training(model, {**options, **copy.deepcopy(shape)}))
    if kind == "options":
        touched = draw.choice([name for name in options if name != "data_path"])
        spoilt, name = spoil_nested(options, draw, (touched,))
        shown = spoilt.get(touched, "gone")
        return Mutant(f"{model} {touched} = {shown!r}", (name, touched), _training(model, spoilt))
    if kind == "both":
        mutant = _spoilt_data(model, options, files, data, draw)
        shape = draw.choice(SHAPES)
        act = _training(model, {**options, **copy.deepcopy(shape)})
        return Mutant(f"{mutant.what}, {shape}", (*mutant.names, *shape), act)
    return _spoilt_file(kind, options, folder, draw)


def _training(model: str, options: dict[str, Any]) -> Callable[[], Any]:
    from burnish.training.train import train

    return lambda: train(model, "d", options=options, keep_checkpoint=False)


def _spoilt_data(
    model: str, options: dict[str, Any], files: dict[str, str], data: Path, draw: random.Random
) -> Mutant:
    read = ["inter", "inter", *options["load_col"]]
    suffix = draw.choice(read)
    content = spoil_file(files[suffix], draw)
    file = data / f"d.{suffix}"
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    start = "gone" if content is None else content[:160]
    return Mutant(f"{model} {file.name}: {start!r}", (file.name,), _training(model, options))


def _spoilt_file(kind: str, options: dict[str, Any], folder: Path, draw: random.Random) -> Mutant:
    """A configuration, the run.json of a trained model, a table of scores or a plan."""
    import yaml

    from burnish.benchmarks.harness import load_plan
    from burnish.training.load import load_run
    from burnish.training.train import train

    simple = {"data_path": options["data_path"], "epochs": 1, "embedding_size": 8, "use_gpu": False}
    if kind == "yaml":
        file = folder / "my.yaml"
        text = yaml.safe_dump({**simple, "topk": [5], "valid_metric": "NDCG@5", "metrics": ["NDCG"]})
        file.write_bytes(spoil_text(text, draw) or b"")
        return Mutant(
            f"{file.name}: {file.read_bytes()[:80]!r}",
            (file.name, *simple, "topk", "metric", "config", "d.inter"),
            lambda: train("BPR", "d", config_files=[file], keep_checkpoint=False),
        )
    if kind == "plan":
        plan, name = spoil_nested(PLAN, draw)
        file = folder / "plan.yaml"
        file.write_text(yaml.safe_dump(json.loads(json.dumps(plan))), encoding="utf-8")
        if draw.random() < 0.3:
            file.write_bytes(spoil_text(yaml.safe_dump(PLAN), draw) or b"")
        names = (file.name, name, name.removesuffix("s"))
        return Mutant(f"{file.name}: {file.read_bytes()[:200]!r}", names, lambda: load_plan(file))
    if kind == "scores":
        head = ["item_id", "pace", "wit"]
        text = written(head, [[f"i{n}", str(n % 10), str(n % 7)] for n in range(1, 26)])
        file = folder / "scores.tsv"
        file.write_bytes(spoil_file(text, draw) or b"")
        more = {**simple, "enhancers": {"guided": {"scores": str(file)}}}
        return Mutant(
            f"{file.name}: {file.read_bytes()[:120]!r}",
            (file.name,),
            lambda: train("BPR", "d", options=more, keep_checkpoint=False),
        )
    run = folder / "run"
    train("BPR", "d", options=simple, folder=run)
    file = run / "run.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    spoilt, name = spoil_nested(content, draw, (draw.choice(sorted(content)),))
    file.write_text(json.dumps(spoilt), encoding="utf-8")
    if draw.random() < 0.2:
        name = file.name
        file.write_bytes(spoil_text(json.dumps(content, indent=1), draw) or b"")
    return Mutant(f"{file.name}: {name}", (file.name, name, *simple), lambda: load_run(run))


@dataclass
class Outcome:
    """ending: trained, refused, vague, bare or slow."""

    ending: str
    number: int
    what: str
    message: str


class _TooSlow(BaseException):
    pass


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise _TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def attempt(number: int, folder: Path) -> Outcome:
    """What becomes of one mutant."""
    mutant = make_mutant(number, folder)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), _at_most(60):
            warnings.simplefilter("ignore")
            mutant.act()
    except BurnishError as error:
        message = str(error)
        named = any(name.lower() in message.lower() for name in mutant.names)
        return Outcome("refused" if named else "vague", number, mutant.what, message)
    except _TooSlow:
        return Outcome("slow", number, mutant.what, "more than 60 s")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        import traceback

        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        return Outcome("bare", number, mutant.what, f"{type(error).__name__}: {error} [{where}]")
    return Outcome("trained", number, mutant.what, "")


def main() -> int:
    """Try mutants and count; exit 1 where one ended bare or vague."""
    import logging
    import os

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("mutants", type=int)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--all", action="store_true", help="print every one")
    arguments = parser.parse_args()
    sys.argv = sys.argv[:1]
    logging.disable(logging.CRITICAL)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        for number in range(arguments.first, arguments.first + arguments.mutants):
            with tempfile.TemporaryDirectory(dir=name) as folder:
                outcome = attempt(number, Path(folder) / "data")
            counts[outcome.ending] += 1
            if arguments.all or (arguments.show and outcome.ending not in ("trained", "refused")):
                print(
                    f"{number} {outcome.ending}: {outcome.what[:300]}\n    {outcome.message[:400]}",
                    flush=True,
                )
        os.chdir("/")
    print(dict(counts))
    return int(any(counts[ending] for ending in ("bare", "vague", "slow")))


if __name__ == "__main__":
    sys.exit(main())

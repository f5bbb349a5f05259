"""`burnish run`: train and test one backbone, with or without enhancers."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .failures import stop_if_asked
from .screen import Screen
from .shared import Dataset, Quiet, Threads, choose_format, config_files_option, output_option

if TYPE_CHECKING:
    from rich.table import Table

    from burnish.training.record import SavedRun
    from burnish.training.result import Epoch, TrainingResult
    from burnish.training.state import FinishedError

    from .run_request import RunRequest

EPILOG = (
    "Examples:\n\n"
    "burnish run --model BPR --dataset ml-100k --epochs 5\n\n"
    "burnish run --model LightGCN --dataset ml-100k --enhancers softmax,average --enhancers.softmax.temperature 0.2\n\n"
    "burnish run --model LightGCN --dataset ml-100k --output out, and after Ctrl-C: burnish run --resume out\n\n"
    "burnish run --model SASRec --dataset ml-100k --sequence_training auto (whole histories in one pass)\n\n"
    "burnish run --config-files my.yaml --seed 7 --learning_rate=1e-3 --topk '[5,10]'\n\n"
    "The file my.yaml is any RecBole configuration; it may also carry model, dataset and a block such as "
    "`enhancers: {softmax: {temperature: 0.2}}`. Data sets are read from dataset/NAME (--data_path changes that); "
    "ml-100k comes with RecBole."
)


def run(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Backbone (`burnish models`), or your own class: FILE.py:Class, package.module:Class.",
        ),
    ] = None,
    dataset: Dataset = None,
    enhancers: Annotated[
        str | None,
        typer.Option(
            "--enhancers",
            "-e",
            help="Enhancers to attach, separated by commas; none for the plain backbone. Your own: FILE.py:Class. "
            "Options: --enhancers.NAME.OPTION VALUE.",
        ),
    ] = None,
    config_files: Annotated[
        str | None, config_files_option("YAML files, separated by commas; later win.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Random seed (RecBole's default is 2020).")
    ] = None,
    output: Annotated[
        Path | None,
        output_option(
            "Folder for result.json, config.json, per_user.parquet, log.txt, checkpoint.pth, the weights and "
            "what --resume needs. Without it only the checkpoint is kept, in RecBole's checkpoint_dir."
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            help="Go on with the interrupted run in this folder, from its last saved epoch, with its options "
            "(--epochs may be raised).",
        ),
    ] = None,
    save_every: Annotated[
        int,
        typer.Option(
            "--save-every", min=0, help="With --output: save the state every so many epochs; 0: never."
        ),
    ] = 1,
    format: Annotated[str, typer.Option("--format", help="table or json (one object, unrounded).")] = "table",
    threads: Threads = None,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust",
            help="Unpickle the pretrained models that options name, or import a run's classes: can execute code.",
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train and test one backbone with enhancers attached; every option of RecBole works here too.

    RecBole's options are written as --epochs 5 or --epochs=5, with values as in its YAML files.
    """
    from burnish.telling import summaries_told_to
    from burnish.training.run_folder import write_results
    from burnish.training.state import FinishedError

    from .run_request import make_request, refuse_misspelt

    screen = Screen.of(context, quiet)
    format = choose_format(format, None, shown=("table", "json"))
    if resume is not None and output is not None and resume.resolve() != output.resolve():
        raise typer.BadParameter("a resumed run stays in its folder; leave it out", param_hint="--output")
    earlier = open_run(resume)
    request = make_request(
        model=model,
        dataset=dataset,
        enhancers=enhancers,
        config_files=config_files,
        seed=seed,
        words=[*context.args, *([] if threads is None else [f"--threads={threads}"])],
        earlier=earlier,
    )
    refuse_misspelt(request, context)
    folder = resume or output
    if earlier is not None:
        earlier.know_enhancers(trust=trust)
    describe(screen, request, earlier)
    try:
        keep = None if folder is None else partial(write_results, folder=folder)
        with summaries_told_to(screen.say):
            result = train(
                screen,
                request,
                folder,
                save_every,
                going_on=earlier is not None,
                trust=trust,
                keep_result=keep,
            )
    except KeyboardInterrupt:
        say_how_to_resume(screen, folder, model, enhancers)
        raise
    except FinishedError as finished:
        screen.say(str(finished))
        show_finished(screen, finished, folder, format)
        return
    if folder is not None:
        screen.say(f"written to {folder}")
    if format == "json":
        screen.write(json.dumps(result.summary(), indent=2, default=str))
    else:
        show(screen, result)


def open_run(folder: Path | None) -> SavedRun | None:
    """What the folder given to --resume says about its run."""
    if folder is None:
        return None
    from burnish.training.record import read_run

    return read_run(folder)


def say_how_to_resume(
    screen: Screen, folder: Path | None, model: str | None = None, enhancers: str | None = None
) -> None:
    """After Ctrl-C: the command that goes on, or why there is none.

    model, enhancers: as they were given; one's own classes have to be given again, or trusted.
    """
    from burnish.own.classes import is_place
    from burnish.training.state import saved_states

    if folder is None:
        screen.say("nothing was saved; with --output FOLDER an interrupted run can be resumed")
        return
    done = next((number for number, _ in saved_states(folder)), 0)
    if done:
        words = ["burnish", "run", "--resume", str(folder)]
        words += ["--model", str(model)] if is_place(model) else []
        words += ["--enhancers", enhancers] if enhancers is not None and ":" in enhancers else []
        screen.say(f"stopped after epoch {done}; go on with: {shlex.join(words)}")
    else:
        screen.say("stopped before the end of the first epoch; nothing to resume")


def show_finished(screen: Screen, error: FinishedError, folder: Path | None, format: str) -> None:
    """The result of a run that has nothing left to do, from its file; the error again when it is not there."""
    from burnish.files.whole import read_json

    file = folder / "result.json" if folder is not None else None
    if file is None or not file.is_file():
        raise error
    content = read_json(file, "remove it, and give the same command again: the model is then tested again")
    if format == "json":
        screen.write(json.dumps(content, indent=2))
    else:
        screen.results.print(metric_table(content["valid_result"], content["test_result"]))


def describe(screen: Screen, request: RunRequest, earlier: SavedRun | None = None) -> None:
    """Say what is about to be trained.  Names and options of enhancers are checked before data are read."""
    from burnish.enhancers.registry import make_enhancers
    from burnish.enhancers.zoo import find_backbone

    model = request.model
    if isinstance(model, str) and (earlier is None or ":" not in model):
        find_backbone(model)
    name = model if isinstance(model, str) else model.__name__
    attached = [f"{one.name}({one.extra_repr()})" for one in make_enhancers(request.enhancers)]
    seed = "" if request.seed is None else f", seed {request.seed}"
    screen.say(f"{name} on {request.dataset}{seed}; attached: {', '.join(attached) or 'nothing'}")
    if earlier is not None:
        from burnish.training.run_folder import lacking_result
        from burnish.training.state import saved_states

        lacking = lacking_result(earlier) if earlier.finished else None
        if lacking is not None:
            screen.say(f"{lacking}: the trained model is tested again")
        done = next((number for number, _ in saved_states(earlier.folder)), 0)
        # Of a finished run nothing is left to do, unless it is to have more epochs.
        if not earlier.finished or _lengthened(request, done):
            screen.say(f"going on after epoch {done}" if done else "no epoch was finished: starting again")


def _lengthened(request: RunRequest, done: int) -> bool:
    """Whether more epochs are asked for than there were."""
    from burnish.files.yamls import read_yaml

    asked = [read_yaml(file).get("epochs") for file in request.config_files] + [request.options.get("epochs")]
    return any(isinstance(epochs, int) and epochs > done for epochs in asked)


def train(
    screen: Screen,
    request: RunRequest,
    output: Path | None,
    save_every: int,
    *,
    going_on: bool = False,
    trust: bool = False,
    keep_result: Callable[[TrainingResult], list[str]] | None = None,
) -> TrainingResult:
    """Train with a progress line: a bar in a terminal, one line an epoch elsewhere, nothing when quiet.

    keep_result: as for `burnish.training.train.train`.
    """
    from burnish.training.train import resume
    from burnish.training.train import train as begin

    def start(tell: Callable[[Epoch], None] | None) -> TrainingResult:
        def on_epoch(epoch: Epoch) -> None:
            stop_if_asked()
            if tell is not None:
                tell(epoch)

        if going_on:
            assert output is not None
            of_run = isinstance(request.model, str) and ":" in request.model  # the class that the run names
            asked_for = {**vars(request), "model": None if of_run else request.model}
            return resume(
                output,
                **asked_for,
                on_epoch=on_epoch,
                save_every=save_every or 1,
                trust=trust,
                keep_result=keep_result,
            )
        return begin(
            **vars(request),
            folder=output,
            on_epoch=on_epoch,
            save_every=save_every if output is not None else 0,
            trust=trust,
            keep_result=keep_result,
        )

    if screen.quiet:
        return start(None)
    screen.say("reading the data ...")
    if not screen.watched:
        lines = EpochLines(screen)
        result = start(lines.tell)
        lines.close()
        return result

    with screen.bar("", note="{task.description}") as move:
        return start(
            lambda epoch: move(total=epoch.total, completed=epoch.number, description=epoch_line(epoch))
        )


class EpochLines:
    """One line an epoch for a log: with the validation where there was one, which is told a moment later."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.waiting: Epoch | None = None

    def tell(self, epoch: Epoch) -> None:
        """The next piece of news."""
        before = self.waiting
        if before is not None and (before.number, before.run) != (epoch.number, epoch.run):
            self.close()
        self.waiting = epoch
        if epoch.valid_score is not None:
            self.close()

    def close(self) -> None:
        """Print what is waiting."""
        if self.waiting is not None and worth_a_line(self.waiting):
            self.screen.say(epoch_line(self.waiting))
        self.waiting = None


def worth_a_line(epoch: Epoch) -> bool:
    """Candidates are many and quick: every tenth one is told, and the last."""
    return epoch.what != "candidate" or epoch.number % 10 == 0 or epoch.number == epoch.total


def epoch_line(epoch: Epoch) -> str:
    """`epoch 3 of 20: loss 12.3, validation 0.2345 (1.2 s)`, or `the base, epoch 3 of 20: ...`."""
    parts = [] if epoch.loss is None else [f"loss {epoch.loss:.4g}"]
    if epoch.valid_score is not None:
        parts.append(f"validation {epoch.valid_score:.4f}")
    figures = f": {', '.join(parts)}" if parts else ""
    return f"{epoch.of} {epoch.number} of {epoch.total}{figures} ({epoch.seconds:.1f} s)"


def metric_table(valid: Mapping[str, float], test: Mapping[str, float]) -> Table:
    """One row a metric, four decimals, validation beside test."""
    from rich.table import Table

    def cell(values: Mapping[str, float], name: str) -> str:
        return f"{values[name]:.4f}" if name in values else "-"

    table = Table("metric")
    table.add_column("validation", justify="right")
    table.add_column("test", justify="right")
    for name in dict.fromkeys([*test, *valid]):
        table.add_row(name, cell(valid, name), cell(test, name))
    return table


def epochs_of(result: TrainingResult) -> str:
    """How many epochs or candidates there were, and which one was kept where validation chose one."""
    best = "" if result.best_epoch is None else f", best {result.best_epoch} by {result.valid_metric}"
    return f"{result.n_epochs}{best}"


def show(screen: Screen, result: TrainingResult) -> None:
    """The final table, and beside it what a person wants to know about the run."""
    screen.results.print(metric_table(result.valid_result or result.best_valid_result, result.test_result))
    facts: list[tuple[str, Any]] = [
        ("attached", ", ".join(result.enhancers) or "nothing"),
        ("seed", result.seed),
        ("parameters", f"{result.n_parameters:,}"),
        (result.counted, epochs_of(result)),
        ("seconds", f"{result.seconds['total']:.1f}"),
        ("checkpoint", result.checkpoint or "not kept"),
    ]
    for name, value in facts:
        screen.say(f"{name:<12}{value}")

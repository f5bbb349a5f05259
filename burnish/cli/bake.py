"""`burnish bake`: from a trained, enhanced model to a plain RecBole checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .screen import Screen
from .shared import RunModel, Silent, output_option, run_given

if TYPE_CHECKING:
    from torch import nn

EPILOG = (
    "Examples:\n\n"
    "burnish run --model BPR --dataset ml-100k --enhancers rvrec --output out\n\n"
    "burnish bake out --output plain.pth\n\n"
    "burnish bake saved/BPR-Jan-01-2026.pth --trust --output plain.pth\n\n"
    "RecBole reads the result without burnish: load_data_and_model('plain.pth'); where the backbone is burnish's own, "
    "after `import burnish`. "
    "The data set must be where it was in training."
)


def bake(
    context: typer.Context,
    source: Annotated[
        Path,
        run_given("Folder of `burnish run --output`, or a RecBole checkpoint of an enhanced model."),
    ],
    output: Annotated[Path, output_option("The plain checkpoint to write.")],
    model: RunModel = None,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust", help="The checkpoint comes from where I know: reading a pickle can run any code in it."
        ),
    ] = False,
    quiet: Silent = False,
) -> None:
    """Write what enhancers learned into the tables of a plain RecBole checkpoint, which scores the same."""
    from burnish.enhancers.bake import bake as bake_model
    from burnish.trained.finished_shards import check_writable

    screen = Screen.of(context, quiet)
    check_writable(output)
    screen.say("building the model ...")
    trained, config, progress = open_model(source, trust, model)
    baked = bake_model(trained, output, config=config, progress=progress)
    screen.say(f"a plain {type(baked).__name__}: written to {output}")


def open_model(source: Path, trust: bool, model: str | None = None) -> tuple[nn.Module, Any, dict[str, Any]]:
    """The model in a run's folder or in a checkpoint, its configuration, and how far training had come.

    model: where its own class is.
    Raises `DataError` for what is neither, and for a checkpoint without `trust`.
    """
    from burnish.enhancers.saving.trusted import is_pickle, load_trusted, rebuild
    from burnish.enhancers.zoo import find_backbone
    from burnish.errors import DataError
    from burnish.files.near import did_you_mean
    from burnish.training.record import tell_changed_beside

    if source.is_dir():
        from burnish.training.load import load_run

        loaded = load_run(source, model=model, trust=trust)
        return loaded.model, loaded.config, {}
    if not source.is_file():
        raise DataError(
            f"{str(source)!r} does not exist; give a run's folder or a checkpoint.{did_you_mean(source)}"
        )
    if not is_pickle(source):
        raise DataError(f"{str(source)!r} is not a checkpoint of RecBole, or was cut short")
    if not trust:
        raise DataError(
            f"{str(source)!r} is a pickle, and reading it can run any code in it; say --trust if you know where it "
            f"comes from, or give the folder of `burnish run --output`, which runs none"
        )
    if model is not None:
        find_backbone(model)  # loaded by the time that the checkpoint asks for it
    checkpoint = load_trusted(source)
    tell_changed_beside(source, checkpoint["config"].model_class)
    names: tuple[str, ...] = ("epoch", "cur_step", "best_valid_score")
    progress = {name: checkpoint[name] for name in names if name in checkpoint}
    return rebuild(checkpoint), checkpoint["config"], progress

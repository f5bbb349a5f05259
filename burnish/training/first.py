"""Runs that are trained first, for another run to begin from or to learn from: each once, kept where they belong.

In the folder of the run that asks; where runs of a comparison share a folder, there under a name that follows from the
content, one process at a time; without a folder for no longer than they are needed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from burnish.enhancers.attach import enhancer_options, enhancers_of, split_enhanced
from burnish.enhancers.trained_first import decisive
from burnish.errors import BurnishError, DataError, warn
from burnish.files.lock import free, locked
from burnish.files.portable import Packer, write_file
from burnish.files.processes import passing_folder
from burnish.files.refusals import make_folder
from burnish.files.whole import read_json, write_json
from burnish.files.whole_folder import folder_written_whole
from burnish.files.yamls import read_yaml
from burnish.own.classes import loaded_only
from burnish.randomness import random_state
from burnish.telling import stages_of

from .beside import digest_beside
from .by_name import settled_options
from .classes import class_name, own_source
from .identity import FormerDataError, OtherDataError, computing, digest
from .one_run import train_and_test
from .options import shared_options
from .record import read_run
from .request import Request
from .result import Epoch, TrainingResult
from .state import latest_state
from .weights import weights_of

#: In the folder of a run that was trained first: which request, and how long it took.
NOTE = "base.json"
#: How the training of a plain backbone ended: its figures, and the random streams after it.
END, STREAMS = "end.json", "streams.safetensors"
Read = TypeVar("Read")
Result = TypeVar("Result")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FirstRequest:
    """How a run that is trained first is trained: its class with its enhancers, and RecBole's options.

    named: what messages call it, such as "the base" and "the teacher 'softmax'"; empty for the very run that asks.
    """

    model: type
    dataset: str
    files: tuple[str, ...]
    options: Mapping[str, Any]
    named: str = "the base"

    def digest(self, *, wherever: bool = False) -> str:
        """Equal for equal results.  wherever: also where equal data lie in another folder."""
        options = computing(self._options())
        if wherever:
            options.pop("data_path", None)
        plain = split_enhanced(self.model)[0]
        content = {
            "model": class_name(plain),
            "dataset": self.dataset,
            "options": options,
            **own_source(plain),
        }
        enhancers = decisive(enhancers_of(self.model))
        return digest({**content, "enhancers": enhancers} if enhancers else content)

    def beside(self) -> str:
        """Equal for equal files beside the interactions, as a graph's; empty for none."""
        plain, enhancers = split_enhanced(self.model)[0], enhancers_of(self.model)
        return digest_beside(plain, enhancers, self.dataset, self._options())

    def _options(self) -> dict[str, Any]:
        """Those that were given, and what its backbone needs besides."""
        options: dict[str, Any] = {}
        for file in self.files:
            options |= read_yaml(file)
        options |= self.options
        return {**settled_options(split_enhanced(self.model)[0], self.dataset, options), **options}

    def request(self) -> Request:
        """The same as a request for a run."""
        block = enhancer_options(self.model)
        plain = split_enhanced(self.model)[0]
        return Request.gather(plain, self.dataset, block, self.files, self.options, None, False)


class InHandError(Exception):
    """Another process is training what is to be trained first.  lock: of that run; free when it is done or given up."""

    def __init__(self, lock: Path) -> None:
        super().__init__(str(lock))
        self.lock = lock


@dataclass(frozen=True)
class Places:
    """Where runs that are trained first are kept, and how they are trained.

    target: the folder of the run that asks; None for none.  shared: the folder of all of them in a comparison.
    needed: from a request and its places to what its run needs itself, as arguments of `train_and_test`.
    """

    needed: Callable[[Request, Places], Mapping[str, Any]]
    target: Path | None = None
    shared: Path | None = None
    save_every: int = 0
    on_epoch: Callable[[Epoch], None] | None = None
    trust: bool = False
    #: Wait for what another process trains; false: `InHandError`, so that something else can be done meanwhile.
    wait: bool = True
    #: Models whose options may stand among those of the run without being read.
    others: tuple[type, ...] = field(default=())
    #: Folders of what was trained first since the run began, which can be of no former data.
    fresh: set[Path] = field(default_factory=set)


def trained_first(
    request: FirstRequest, places: Places, within: str, read: Callable[[Path, float], Read]
) -> Read:
    """What `read` makes of the folder of a run, which is trained unless it is there already, and of its seconds.

    within: its folder in the target.
    """
    if places.shared is not None:
        return _shared(request, Path(places.shared) / request.digest(), places, read)
    if places.target is not None:
        folder = places.target / within
        return read(folder, _trained(request, folder, places))
    with passing_folder("first") as folder:
        return read(folder, _trained(request, folder, replace(places, save_every=0)))


def anew_on_other_data(run: Callable[[], Result], places: Places) -> Result:
    """What `run` gives; where a run that was trained first and kept is of former data, it is trained anew once.

    As it is where its options are others.  `run` is called again for that, having changed nothing of its own yet.
    places: with which it trains.  Raises `DataError` where the one of other data was trained by `run` itself.
    """
    while True:
        try:
            return run()
        except FormerDataError as error:
            if error.folder in places.fresh:
                raise error.just_trained() from error
            warn(
                f"{error.named}, kept in {error.folder}, was trained on other data than there are now; it is trained "
                f"anew"
            )
            (error.folder / NOTE).unlink(missing_ok=True)


def _shared(request: FirstRequest, folder: Path, places: Places, read: Callable[[Path, float], Read]) -> Read:
    """In a folder that several processes share: the first one trains it, others wait for it or pass it over."""
    make_folder(folder.parent)
    lock = folder.with_name(f".{folder.name}.training.lock")

    def waiting(holder: str) -> None:
        logger.warning("waiting for %s, which trains %s in %s", holder, request.named or "it", folder)

    with ExitStack() as stack:
        if places.wait:
            stack.enter_context(locked(lock, waiting=waiting))
        elif not stack.enter_context(free(lock)):
            raise InHandError(lock)
        if progress_in(folder, request) != "finished":
            with folder_written_whole(
                folder, lambda there: progress_in(there, request) == "finished"
            ) as partial:
                _trained(request, partial, replace(places, save_every=0))
            places.fresh.add(folder)
        return read(folder, _seconds(folder))


def _trained(request: FirstRequest, folder: Path, places: Places) -> float:
    """Train it in a folder, unless it is there already; an interrupted one goes on.  Gives its seconds."""
    progress = progress_in(folder, request)
    if progress == "finished":
        return _seconds(folder)
    started = time.perf_counter()
    with _named(request.named):
        result = _train(request, folder, places, goes_on=progress == "unfinished")
    places.fresh.add(folder)
    # What an interrupted process spent on epochs counts as well.
    spent = max(time.perf_counter() - started, result.seconds["train"] + result.seconds["valid"])
    write_json(folder / NOTE, {**_note(request), "seconds": spent})
    return spent


@contextmanager
def _named(name: str) -> Iterator[None]:
    """While this is open, errors say what was trained: their reader may not have thought of it.  name: "" for a run."""
    try:
        yield
    except FormerDataError:  # says so
        raise
    except BurnishError as error:
        if not name:
            raise
        raise type(error)(f"{name}: {error}") from error


def _train(request: FirstRequest, folder: Path, places: Places, *, goes_on: bool) -> TrainingResult:
    state = latest_state(folder) if goes_on else None
    told = _told_of(request.named, places.on_epoch)
    inner = replace(places, target=folder, on_epoch=told)
    with _quiet(request, places), stages_of(request.named):
        if state is not None:
            saved = read_run(folder)
            plain = split_enhanced(request.model)[0]
            try:
                with loaded_only(places.trust):  # what the run that asks names is loaded
                    again = Request.gather(
                        plain, saved.dataset, saved.enhancers, (), saved.options, None, False
                    )
                    needed = {**places.needed(again, inner), "base": None}  # it has begun
                    return train_and_test(
                        again,
                        folder,
                        saved=saved,
                        state=state,
                        save_every=max(places.save_every, 1),
                        on_epoch=told,
                        evaluate_test=False,
                        trust=places.trust,
                        keep_result=_end_noted(request, folder),
                        **needed,
                    )
            except OtherDataError as error:
                raise FormerDataError(request.named, folder, error) from error
        make_folder(folder)
        asked = request.request()
        return train_and_test(
            asked,
            folder,
            on_epoch=told,
            save_every=places.save_every,
            evaluate_test=False,
            trust=places.trust,
            keep_result=_end_noted(request, folder),
            # The former one is gone by then: the note must never stand beside another one.
            on_forgotten=lambda: write_json(folder / NOTE, _note(request)),
            **places.needed(asked, inner),
        )


def _end_noted(request: FirstRequest, folder: Path) -> Callable[[TrainingResult], list[str]] | None:
    """What notes how the training of a plain backbone ended, so that it can be tested as a run (`shared_base`)."""
    if enhancers_of(request.model):
        return None

    def note(result: TrainingResult) -> list[str]:
        packer = Packer()
        write_file(folder / STREAMS, {"random": packer.pack(random_state())}, packer.tensors)
        write_json(folder / END, result.summary())
        return []

    return note


def _told_of(named: str, tell: Callable[[Epoch], None] | None) -> Callable[[Epoch], None] | None:
    """Tell of epochs whose they are: of the base, of a teacher, of the base of a teacher."""
    if tell is None or not named:
        return tell
    return lambda epoch: tell(replace(epoch, run=f"{epoch.run} of {named}" if epoch.run else named))


def _quiet(request: FirstRequest, places: Places) -> AbstractContextManager[None]:
    """Another model need not read all options of the run."""
    if not places.others or split_enhanced(request.model)[0] in places.others:
        return nullcontext()
    return shared_options(request.options, ())


def _note(request: FirstRequest) -> dict[str, Any]:
    beside = request.beside()
    note = {"digest": request.digest(), "wherever": request.digest(wherever=True)}
    return {**note, "beside": beside} if beside else note


def _seconds(folder: Path) -> float:
    """How long it took, as its note says; 0 where an older burnish has not noted it."""
    seconds = read_json(folder / NOTE, "").get("seconds")
    return float(seconds) if isinstance(seconds, int | float) else 0.0


def progress_in(folder: Path, request: FirstRequest) -> str:
    """What a folder holds: a `finished` or `unfinished` run of this request, or `nothing` of use."""
    try:
        note = read_json(folder / NOTE, "")
        same = note["digest"] == request.digest()
        if not same and note.get("wherever") != request.digest(wherever=True):
            return "nothing"
        beside = request.beside()
        if beside and note.get("beside", beside) != beside:  # an older burnish has not noted it
            return "nothing"
        if not read_run(folder).finished:
            return "unfinished"
        weights_of(folder, request.named or "the plain backbone")
    except (DataError, TypeError, KeyError, AttributeError):  # missing or damaged: trained anew
        return "nothing"
    return "finished"

"""RecBole without ray, and what to say where a library is missing or broken.  Needs nothing but Python.

RecBole 1.2.1 asks for `ray<=2.6.3`, which has no wheel for Python 3.12 and later, and which burnish never calls.  A
package cannot tell pip to leave out a requirement of another one.  So burnish requires what RecBole needs, and RecBole
itself only as the extra `recbole`; `burnish setup` adds it without its list.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import site
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from types import TracebackType

from .errors import BurnishError, NotInstalledError

#: The RecBole that burnish is made for.
RECBOLE = "1.2.1"

#: Adds torch's index of CPU builds to every call of pip.
CPU_INDEX = "https://download.pytorch.org/whl/cpu"

#: Modules of what is always installed; where one does not import, `burnish doctor` knows the cure.
MODULES = frozenset(
    [
        *(
            "colorama",
            "colorlog",
            "numpy",
            "pandas",
            "psutil",
            "pyarrow",
            "pydantic",
            "recbole",
            "safetensors",
        ),
        *("scipy", "sklearn", "tensorboard", "texttable", "thop", "torch", "tqdm", "yaml"),
    ]
)


class SetupError(BurnishError):
    """RecBole cannot be installed here as things are; the message has the cure."""


def missing_recbole() -> NotInstalledError:
    """What is raised where RecBole is needed and not there."""
    here = f" (for this Python: {sys.executable} -m burnish setup)" if sys.executable else ""
    return NotInstalledError(
        f"RecBole is not installed. Run `burnish setup`{here}: it installs RecBole {RECBOLE} without ray.",
        name="recbole",
    )


# ------------------------------------------------------------------ setup


def installed_recbole() -> str | None:
    """The version of the RecBole that is installed for this Python; None where there is none."""
    try:
        return metadata.version("recbole")
    except metadata.PackageNotFoundError:
        return None


def setup_command(options: Sequence[str] = ()) -> list[str]:
    """The command that installs RecBole into this Python's environment: by pip, or by uv where there is no pip.

    Parameters
    ----------
    options
        More options for pip or uv, such as `--index-url=...`.

    Raises
    ------
    SetupError
        Where the environment may not be changed, or there is neither pip nor uv.
    """
    _check_place()
    wanted = ["--no-deps", f"recbole=={RECBOLE}", *options]
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install", *wanted]
    if (uv := shutil.which("uv")) is not None:
        return [uv, "pip", "install", "--python", sys.executable, *wanted]
    raise SetupError(
        f"{sys.prefix} has no pip, and uv is not on the path. Run `{sys.executable} -m ensurepip`, or install uv, and "
        f"then `burnish setup` again."
    )


def _check_place() -> None:
    """Refuse, before pip would, what cannot work."""
    own = "python3 -m venv .venv && . .venv/bin/activate && pip install burnish && burnish setup"
    in_venv = sys.prefix != sys.base_prefix
    allowed = {os.environ.get(f"{tool}_BREAK_SYSTEM_PACKAGES", "") for tool in ("PIP", "UV")} - {"", "0"}
    if not in_venv and not allowed and (Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED").exists():
        raise SetupError(
            f"{sys.prefix} is managed by the operating system, whose own packages pip must not touch. Use an "
            f"environment of your own: `{own}`. Where burnish was put there with --break-system-packages, "
            f"`PIP_BREAK_SYSTEM_PACKAGES=1 burnish setup` puts RecBole beside it."
        )
    folder = Path(sysconfig.get_path("purelib"))
    there = next((parent for parent in (folder, *folder.parents) if parent.exists()), folder)
    by_user = not in_venv and bool(site.ENABLE_USER_SITE)  # pip then takes the user's own folder by itself
    if not os.access(there, os.W_OK) and not by_user:
        raise SetupError(
            f"{folder} cannot be written. Whoever made this environment can run `burnish setup` in it (in an image: "
            f"where burnish is installed); or use an environment of your own: `{own}`."
        )


def install_recbole(command: Sequence[str]) -> None:
    """Run the command of `setup_command`; its output is the reader's to see.

    Raises
    ------
    SetupError
        Where it fails, or where it says that it is done and this Python still has no RecBole of that version.
    """
    tool = "uv" if "--python" in command else "pip"
    code = subprocess.run(command, check=False).returncode
    if code != 0:
        raise SetupError(
            f"{tool} failed (exit code {code}); it says why above. Options for {tool} can follow, such as `burnish "
            f"setup --index-url URL`. Without a network: `pip download --no-deps recbole=={RECBOLE}` elsewhere, then "
            f"`burnish setup --no-index --find-links FOLDER`."
        )
    look = "from importlib.metadata import version; print(version('recbole'))"
    seen = subprocess.run([sys.executable, "-c", look], check=False, capture_output=True, text=True)
    if seen.stdout.strip() != RECBOLE:
        raise SetupError(
            f"{tool} is done, and {sys.executable} still has no RecBole {RECBOLE}: was it told to install elsewhere "
            f"({'PIP_TARGET, PIP_PREFIX, ' if tool == 'pip' else ''}a configuration file, or an option)?"
        )


# ------------------------------------------------------------------ what does not import


def broken_library(error: BaseException) -> str | None:
    """The library that this error came from while it was imported, or that is missing; None for any other error.

    A broken library raises anything: ImportError, OSError of a shared object, AttributeError.  What they have in common
    is that the code of a module was being executed.
    """
    for one in _chain(error):
        if isinstance(one, ModuleNotFoundError) and one.name in MODULES:
            return one.name
        for module in _executed(one.__traceback__):
            top = module.partition(".")[0]
            if top in MODULES:
                return top
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that led to it."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def _executed(traceback: TracebackType | None) -> Iterator[str]:
    """Names of the modules whose own code the error went through, outermost first."""
    while traceback is not None:
        if traceback.tb_frame.f_code.co_name == "<module>":
            yield traceback.tb_frame.f_globals.get("__name__", "")
        traceback = traceback.tb_next

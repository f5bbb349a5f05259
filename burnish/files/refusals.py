"""What a system says where nothing can be written (full, read-only, not permitted), as a sentence with the place."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from burnish.errors import BurnishError, ConfigurationError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}
_NO_FOLDER = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}
#: Libraries that write by themselves and say it in their own words: safetensors, torch.save.
_OS_CODE = re.compile(r"Os \{ code: (\d+)|[Oo]s error (\d+)|\[[Ee]rrno (\d+)\]")
_TORCH = re.compile(
    r"PytorchStreamWriter failed writing|inline_container\.cc.*(unexpected pos|writing)", re.S
)

#: The same where torch.save cannot open its file at all.
_TORCH_TOLD = re.compile(r"inline_container\.cc.*open file failed with strerror: ([^\n]+)", re.S)


def reason(error: BaseException) -> str | None:
    """Why nothing could be written, in the system's words; None for an error that is about something else."""
    code = code_of(error)
    if code is not None:
        return os.strerror(code)
    told = _TORCH_TOLD.search(str(error)) if type(error) is RuntimeError else None
    if told is not None:
        return told[1].strip()
    if type(error) is RuntimeError and _TORCH.search(str(error)):
        return f"{os.strerror(errno.ENOSPC)}, or the file was cut off"
    return None


def of_place(error: BaseException, place: Path) -> str | None:
    """Why a file with a name of ours could not be made, where the error names it; None for other errors.

    Places of the system's own, such as /proc, say other things than that nothing may be written.
    """
    if not isinstance(error, OSError) or place.name not in str(error):
        return None
    return error.strerror if error.filename is not None else os.strerror(error.errno or errno.EIO)


def code_of(error: BaseException) -> int | None:
    """The system's number of a refusal to write; None for any other error."""
    code = error.errno if isinstance(error, OSError) else None
    if code is None:
        match = _OS_CODE.search(str(error))
        code = int(next(group for group in match.groups() if group)) if match else None
    return code if code in FULL | _CLOSED | _NO_FOLDER else None


def sentence(error: BaseException, place: Path | str | None) -> str | None:
    """The whole sentence; None for an error that is about something else.

    place: where it happened, unless the error names a file.
    """
    why = reason(error)
    if why is None:
        return None
    named = getattr(error, "filename", None)
    where = os.fsdecode(named) if isinstance(named, str | bytes | os.PathLike) else place
    code = code_of(error)
    # A file that may not be opened may be one that was to be read.
    verb = "opened" if code in (errno.EACCES, errno.EPERM) else "written"
    if code in FULL or (code is None and not _TORCH_TOLD.search(str(error))):
        cure = "free some space there, or give another folder, and start again: what was finished is kept"
    else:
        cure = "give a path that you may read and write"
    return f"{where or 'a file'} cannot be {verb} ({why}); {cure}"


@contextmanager
def told_why(place: Path) -> Iterator[None]:
    """Turn a refusal to write into a `ConfigurationError` that names the file, or else `place`."""
    try:
        yield
    except BurnishError:
        raise
    except Exception as error:
        text = sentence(error, place)
        if text is None:
            raise
        raise ConfigurationError(text) from error


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; `ConfigurationError` where that cannot be."""
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise ConfigurationError(f"{folder} is a file; give the name of a folder")
    with told_why(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if reason(error) is not None:
                raise
            # Places of the system's own, such as /proc, say other things.
            raise ConfigurationError(
                f"{folder} cannot be made ({error.strerror or error}); give a folder in a place that you may write to"
            ) from error

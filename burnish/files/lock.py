"""A folder or a file for one process at a time: a lock that dies with its process."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from burnish.errors import BurnishError, ConfigurationError, DataError

from .refusals import told_why

#: Between two looks at a lock that is waited for.
_PAUSE = 0.05
#: All that a lock's file ever holds: the number of a process.
_CONTENT = re.compile(rb"\d{0,20}\s?")
_HELD = "held"
#: What a file system says that has no locks.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


def lock_of(path: Path) -> Path:
    """The lock that stands for a file or folder: a hidden file beside it."""
    return path.with_name(f".{path.name}.lock")


@contextmanager
def locked(
    lock: Path, *, busy: str | None = None, waiting: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold a lock while the block runs.  The file is there only while somebody holds it, or was killed holding it.

    Parameters
    ----------
    lock
        Its file; the folder must be there.
    busy
        The error where another holds it, in which `{holder}` says who; None waits.
    waiting
        Told once who holds it, before waiting for it.

    Raises
    ------
    ConfigurationError
        With `busy`, or where the file cannot be made.
    DataError
        Where something else lies in its place: a link, or a file that no lock is.  It is left as it is.
    """
    try:
        handle = _acquire(lock, busy, waiting)
    except OSError as error:
        # The folder says more than the name of a hidden file.
        with told_why(lock.parent):
            raise OSError(error.errno, error.strerror, str(lock.parent)) from error
    try:
        yield
    finally:
        if handle is not None:
            _release(lock, handle)


@contextmanager
def free(lock: Path) -> Iterator[bool]:
    """Hold a lock while the block runs, if nobody else does: True then, False otherwise.  Raises as `locked` does."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(lock, busy=_HELD))
        except ConfigurationError as error:
            if str(error) != _HELD:
                raise
            yield False
            return
        yield True


def held(lock: Path) -> bool:
    """Whether somebody holds a lock at this moment."""
    with free(lock) as mine:
        return not mine


def release_dead(lock: Path) -> None:
    """Remove the file of a lock that a killed process held."""
    with contextlib.suppress(BurnishError), locked(lock, busy=_HELD):
        pass


def _acquire(lock: Path, busy: str | None, waiting: Callable[[str], None] | None) -> int | None:
    """The open file; None on a file system without locks."""
    while True:
        handle = _opened(lock)
        try:
            taken = _take(handle)
        except OSError as error:
            os.close(handle)
            if error.errno not in _NO_LOCKS:
                raise
            warnings.warn(
                f"{lock.parent}: this file system has no locks ({error.strerror}); do not write into the folder with "
                f"two processes at once",
                stacklevel=4,
            )
            return None
        if taken and _is_there(lock, handle):
            with contextlib.suppress(OSError):  # a full disk: the lock holds without the number
                os.truncate(handle, 0)
                os.write(handle, f"{os.getpid()}\n".encode())
            return handle
        # Taken by another, or removed by its last holder between opening and taking it.
        holder = _holder(handle)
        os.close(handle)
        if not taken:
            if busy is not None:
                raise ConfigurationError(busy.replace("{holder}", holder))
            if waiting is not None:
                waiting(holder)
                waiting = None
            time.sleep(_PAUSE)


def _opened(lock: Path) -> int:
    """The file of a lock, opened without following a link: whoever holds it writes into it."""
    # The second: a pipe keeps nobody waiting.
    named = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if not named and lock.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(lock))
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | named, 0o666)
    except OSError as error:
        if lock.is_symlink():
            raise _no_lock(lock, f"a link to {os.readlink(lock)}") from error
        if lock.exists() and not lock.is_file():
            raise _no_lock(lock, "no file") from error
        raise
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise _no_lock(lock, "no file")
        if found.st_nlink > 1:
            raise _no_lock(lock, "another name of a file that lies elsewhere (a hard link)")
        if hasattr(os, "pread") and not _CONTENT.fullmatch(os.pread(handle, 64, 0)):
            raise _no_lock(lock, "a file with something else in it")
    except BaseException:
        os.close(handle)
        raise
    return handle


def _no_lock(lock: Path, what: str) -> DataError:
    return DataError(
        f"{lock} should be the lock of a process that works there, and is {what}; move it away, or give another folder"
    )


def _holder(handle: int) -> str:
    try:
        number = os.pread(handle, 20, 0).decode("ascii", "replace").strip() if hasattr(os, "pread") else ""
    except OSError:
        number = ""
    return f"process {number}" if number.isdecimal() else "another process"


def _is_there(lock: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(lock), os.fstat(handle))
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    #: Far behind what the file holds, as Windows lets nobody read a locked part.
    _BYTE = 1 << 20

    def _take(handle: int) -> bool:
        os.lseek(handle, _BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EDEADLK):
                return False
            raise
        os.lseek(handle, 0, os.SEEK_SET)
        return True

    def _release(lock: Path, handle: int) -> None:
        os.lseek(handle, _BYTE, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
        os.close(handle)
        with contextlib.suppress(OSError):  # an open file cannot be removed: its next holder does
            lock.unlink()

else:
    import fcntl

    def _take(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _release(lock: Path, handle: int) -> None:
        # Removed while it is still held: whoever waits for this file finds that it is gone, and makes a new one.
        with contextlib.suppress(OSError):
            lock.unlink()
        # Said, and not left to closing: workers that were forked meanwhile have the file open too.
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)

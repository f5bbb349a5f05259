"""A run in an event loop in another thread: the caller may have a loop already, and Ctrl-C ends it cleanly."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable

from .dispatch import Dispatch

_GRACE_S = 30.0  # for what is in flight at Ctrl-C: it has been paid for
_LOG = logging.getLogger("burnish")


class EventLoopThread:
    """A coroutine in a thread of its own, which ends cleanly at Ctrl-C."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dispatch: Dispatch | None = None
        self._task: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        # not the thread's join: interrupted once, it takes the thread for ended
        self._ended = threading.Event()

    def started(self, dispatch: Dispatch) -> None:
        """Called inside the loop, once there is something to stop."""
        self._dispatch = dispatch

    def until_done(self, everything: Callable[[], Awaitable[None]]) -> None:
        """Run it.  At Ctrl-C nothing more is sent, and what is in flight gets some seconds (a second Ctrl-C: none)."""

        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            self._task = asyncio.current_task()
            await everything()

        def target() -> None:
            try:
                asyncio.run(main())
            except BaseException as error:
                self._error = error
            finally:
                self._ended.set()

        thread = threading.Thread(target=target, name="burnish-llm-scorer", daemon=True)
        thread.start()
        try:
            self._ended.wait()
        except KeyboardInterrupt:
            self._interrupt()
            raise
        if self._error is not None:
            raise self._error

    def _interrupt(self) -> None:
        try:
            _LOG.warning(
                "interrupted: nothing more is sent; up to %.0f s for the answers on their way (Ctrl-C again: none)",
                _GRACE_S,
            )
            self._call(lambda: self._dispatch.stop() if self._dispatch is not None else None)
            self._ended.wait(_GRACE_S)
        except KeyboardInterrupt:
            pass
        if not self._ended.is_set():
            self._call(lambda: self._task.cancel() if self._task is not None else None)
            self._ended.wait(_GRACE_S)

    def _call(self, what: Callable[[], object]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            try:
                self._loop.call_soon_threadsafe(what)
            except RuntimeError:  # it closed just now
                return

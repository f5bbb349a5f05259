"""The process of one worker (`workers`): it reads its order from standard input."""

from __future__ import annotations

import _thread
import json
import os
import sys
import threading
import time

from burnish.errors import BurnishError

from .grid import run_plan
from .plan import make_plan
from .progress import Event

#: Seconds between two looks at the parent.
_PAUSE = 0.5


def main() -> int:
    """Do runs until there is none left, or whoever started this process is gone."""
    order = json.loads(sys.stdin.buffer.read())

    def stop_without_parent(_: Event) -> None:
        if os.getppid() != order["parent"]:
            raise KeyboardInterrupt

    number, n = order["share"]
    try:
        threading.Thread(target=_end_without, args=(order["parent"],), daemon=True).start()
        run_plan(
            make_plan(order["plan"]),
            quiet=True,
            on_event=stop_without_parent,
            share=(number, n),
            since=order["since"],
        )
    except KeyboardInterrupt:
        return 0
    except BurnishError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _end_without(parent: int) -> None:
    """Interrupt the run in hand as soon as the parent is gone: it may be long before anything is told."""
    while os.getppid() == parent:
        time.sleep(_PAUSE)
    _thread.interrupt_main()


if __name__ == "__main__":
    sys.exit(main())

"""The process of one worker (`workers`): it reads its order from standard input."""

from __future__ import annotations

import json
import os
import sys

from burnish.errors import BurnishError

from .grid import run_plan
from .plan import make_plan
from .progress import Event


def main() -> int:
    """Do runs until there is none left, or whoever started this process is gone."""
    order = json.loads(sys.stdin.buffer.read())

    def stop_without_parent(_: Event) -> None:
        if os.getppid() != order["parent"]:
            raise KeyboardInterrupt

    number, n = order["share"]
    try:
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


if __name__ == "__main__":
    sys.exit(main())

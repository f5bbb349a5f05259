"""How long to wait before a request is sent again."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_LONGEST_S = 60.0


def retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """The seconds that an endpoint asks to wait (Retry-After in seconds or as an HTTP date, retry-after-ms), or None.

    headers: of the response; names in lower case, or a mapping that ignores case.  now: seconds since the epoch.
    """
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            try:
                seconds = parsedate_to_datetime(value).timestamp() - (time.time() if now is None else now)
            except (TypeError, ValueError, LookupError, OverflowError):
                continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None


def back_off(failures: int, base: float, chance: random.Random) -> float:
    """Seconds before the next try after so many failures (1 or more): `base`, doubled each time, 60 at most, of which
    a random part between a half and all is waited, so that requests that failed together do not return together."""
    return min(_LONGEST_S, base * 2.0 ** min(failures - 1, 30)) * chance.uniform(0.5, 1.0)

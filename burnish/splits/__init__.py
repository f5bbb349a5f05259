"""How data are split, by name: the option `split` of any config, run or plan.

`random` and `leave-one-out` are RecBole's; `time` is a point in time for all users alike, and nothing from it on is
trained on.  `protocols` says what each means in RecBole's `eval_args`, `by_time` makes the cut, and `burnish.plugin`
puts both into RecBole.
"""

from __future__ import annotations

from .protocols import NAMES, OPTION, TIME, Protocol, as_option, eval_args_of, named, with_split

__all__ = ["NAMES", "OPTION", "TIME", "Protocol", "as_option", "eval_args_of", "named", "with_split"]

"""The former place of `burnish.errors`; it goes with the next release."""

import warnings

from burnish.errors import *  # noqa: F403

warnings.warn("burnish.enhancers.errors is now burnish.errors", DeprecationWarning, stacklevel=2)

"""Warnings about RecBole's own code that change no number, and that nobody who uses it can act on."""

from __future__ import annotations

import warnings

#: Category, how the message begins, and where it is given: nowhere but in RecBole.
HARMLESS: tuple[tuple[type[Warning], str, str], ...] = (
    # Its scaler of gradients is off unless `enable_scaler` asks for it, and is the same one under the new name.
    (FutureWarning, r"`torch\.cuda\.amp\.GradScaler", r"recbole\.trainer\.trainer"),
    # RecBole only reads the tensors that share their numbers with a data frame.
    (UserWarning, r"The given NumPy array is not writable", r"recbole\.data\."),
    (UserWarning, r"torch\.sparse\.SparseTensor\(", r"recbole\.model\."),
    (DeprecationWarning, r"The inplace keyword in DataFrame", r"recbole\.data\."),
)


def leave_out_harmless() -> None:
    """Filters for these alone; filters that are set later come before them."""
    for category, message, module in HARMLESS:
        warnings.filterwarnings("ignore", message=message, category=category, module=module)

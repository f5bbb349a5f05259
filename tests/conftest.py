"""What every test may rely on, wherever the tests were started from."""

from __future__ import annotations

import copy
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# No test depends on the clock: machines are shared, and slow for reasons of their own.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure() -> None:
    """Keep no encoded texts.  Let Ctrl-C mean something: shells start jobs in the background with it ignored, and
    children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # What stands for an encoder in one test is none in another, and nobody's cache is for tests to fill.
    os.environ["BURNISH_CACHE"] = "off"


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A test that silences logging does so for itself."""
    before = logging.root.manager.disable
    yield
    logging.disable(before)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On several cores the files with few and long tests come first, so that no core waits for the last of them."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.path.parent.name not in ("tests", "journeys"))


def pytest_runtest_setup() -> None:
    """Let RecBole parse each of its files of defaults once: that is most of what making a Config takes."""
    module = sys.modules.get("recbole.config.configurator")
    if module is not None and "_parsed_once" not in vars(module):
        module._parsed_once = {}  # type: ignore[attr-defined]
        module.Config._update_internal_config_dict = _update_internal_config_dict  # type: ignore[attr-defined]


def _update_internal_config_dict(config: Any, file: str) -> dict[str, Any] | None:
    """As RecBole's; what a file says is kept as long as it is the same text."""
    import yaml

    kept = sys.modules["recbole.config.configurator"]._parsed_once  # type: ignore[attr-defined]
    text = Path(file).read_text(encoding="utf-8")
    if text not in kept:
        kept[text] = yaml.load(text, Loader=config.yaml_loader)
    found: dict[str, Any] | None = copy.deepcopy(kept[text])
    if found is not None:
        config.internal_config_dict.update(found)
    return found

"""One tiny encoder for all tests of texts."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_encoder import save_tiny_encoder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(save_tiny_encoder(tmp_path_factory.mktemp("encoder") / "tiny"))

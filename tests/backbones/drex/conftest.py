"""DReX without an encoder: token embeddings drawn at random by the word."""

from __future__ import annotations

import pytest
from review_world import StandInStore


@pytest.fixture(autouse=True)
def stand_in_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    from burnish.backbones.drex import configured_modalities

    monkeypatch.setattr(configured_modalities, "open_tokens", lambda texts, config: StandInStore(texts))

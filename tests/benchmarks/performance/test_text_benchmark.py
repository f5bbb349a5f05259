from pathlib import Path

import pytest
from tiny_encoder import save_tiny_encoder

from burnish.benchmarks.performance import text as benchmark


def test_prints_the_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ["user_id\titem_id\treview", 'a\tb\tgreat "guitar', "a\tc\tthe", "b\tc\tbass strings"]
    (tmp_path / "x.reviews.tsv").write_text("\n".join(rows) + "\n")
    encoder = save_tiny_encoder(tmp_path / "encoder")
    monkeypatch.setattr(benchmark.torch, "set_num_threads", lambda n: None)
    benchmark.main([str(tmp_path / "x.reviews.tsv"), "--encoder", encoder, "--repeats", "1", "--batch", "4"])
    printed = capsys.readouterr().out
    assert "3 texts, 4 tokens of 8 numbers, 4 words, 0 cut" in printed
    assert printed.count("take, ") == 2

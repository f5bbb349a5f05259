"""burnish's own backbones keep the promises of the attachment, and so does a model of ratings of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from rating_models import TinyFactors
from tiny_encoder import save_tiny_encoder

from burnish.enhancers.conformance import check_backbone
from burnish.enhancers.conformance.data import write_data, write_permuted
from burnish.enhancers.zoo import list_backbones

OWN = [name for name, kind in list_backbones().items() if kind in ("ratings", "reviews")]
#: The others run in `make conformance`.
QUICK = ("trains and evaluates", "baked checkpoint is plain", "other order of ids")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("conformance")
    save_tiny_encoder(home / "encoder")
    return home


def outcomes(
    backbone: str | type, folder: Path, only: tuple[str, ...] | None, category: str | None = None
) -> dict[str, str]:
    options = {"text_encoder": str(folder / "encoder")}
    checks = check_backbone(backbone, folder=folder, options=options, only=only, category=category)
    found = [check.outcome() for check in checks]
    return {outcome.check: f"{outcome.status} {outcome.detail}".strip() for outcome in found}


@pytest.mark.parametrize("backbone", ["EMF", "DReX", "NARRE"])
def test_promises_about_what_leaves_the_process(backbone: str, folder: Path) -> None:
    assert outcomes(backbone, folder, QUICK) == dict.fromkeys(QUICK, "passed")


def test_a_model_without_tables_is_refused(folder: Path) -> None:
    (found,) = outcomes("DeepCoNN", folder, ("attaches",)).values()
    assert found.startswith("refused")


def test_a_model_of_ratings_of_ones_own(folder: Path) -> None:
    found = outcomes(TinyFactors, folder, QUICK, category="ratings")
    assert found == dict.fromkeys(QUICK, "passed")


@pytest.mark.conformance
@pytest.mark.parametrize("backbone", OWN)
def test_all_promises(backbone: str, folder: Path) -> None:
    assert {text.split()[0] for text in outcomes(backbone, folder, None).values()} <= {"passed", "refused"}


def test_reviews_of_the_data_are_the_same_however_often_they_are_written(tmp_path: Path) -> None:
    one, other = write_data(tmp_path / "a"), write_data(tmp_path / "b")
    text = (one / "conformance.reviews.tsv").read_text()
    assert text == (other / "conformance.reviews.tsv").read_text()
    shuffled = write_permuted(tmp_path / "a") / "conformance-permuted.reviews.tsv"
    assert sorted(shuffled.read_text().splitlines()) == sorted(text.splitlines())
    n_interactions = len((one / "conformance.inter").read_text().splitlines()) - 1
    assert 0.7 * n_interactions < len(text.splitlines()) - 1 < 0.95 * n_interactions

"""Principal components, against numpy's singular value decomposition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from burnish.enhancers.guided.reduction import principal
from burnish.errors import DataError


def some_rows(n: int = 50, d: int = 8) -> torch.Tensor:
    draw = np.random.default_rng(1)
    turned = np.linalg.qr(draw.normal(size=(d, d)))[0]
    return torch.from_numpy(draw.normal(size=(n, d)) * np.arange(d, 0, -1) @ turned + 3.0).float()


@pytest.mark.parametrize("keep", [1, 5, 8])
def test_directions_are_those_of_the_svd_widest_first(keep: int) -> None:
    rows = some_rows()
    centre, basis = principal(rows, keep)
    exact = rows.double().numpy()
    _, sizes, directions = np.linalg.svd(exact - exact.mean(0), full_matrices=False)
    assert basis.shape == (8, keep)
    assert np.allclose(centre.numpy(), exact.mean(0), atol=1e-6)
    assert np.allclose(basis.T @ basis, np.eye(keep), atol=1e-6)
    along = directions[:keep] @ basis.double().numpy()
    assert np.allclose(np.abs(along), np.eye(keep), atol=1e-5)  # each one, but for its sign
    spread = ((exact - exact.mean(0)) @ basis.double().numpy()).std(0) * np.sqrt(len(exact))
    assert np.allclose(spread, sizes[:keep], rtol=1e-5)


def test_signs_do_not_depend_on_the_order_of_rows() -> None:
    rows = some_rows()
    _, basis = principal(rows, 6)
    _, again = principal(rows.flip(0), 6)
    assert torch.allclose(basis, again, atol=1e-5)
    assert (basis.gather(0, basis.abs().argmax(0, keepdim=True)) > 0).all()
    assert torch.equal(basis, principal(rows, 6)[1])


def test_fewer_rows_than_directions() -> None:
    rows = some_rows(3)
    _, basis = principal(rows, 6)
    assert np.allclose(basis.T @ basis, np.eye(6), atol=1e-6)
    centred = rows - rows.mean(0)
    assert torch.allclose(centred @ basis @ basis.t(), centred, atol=1e-4)  # nothing of them is lost
    _, flat = principal(torch.ones(4, 5), 3)
    assert np.allclose(flat.T @ flat, np.eye(3), atol=1e-6)


def test_rows_that_are_not_finite_are_refused() -> None:
    rows = some_rows()
    rows[3, 2] = float("inf")
    with pytest.raises(DataError, match="train the base again"):
        principal(rows, 3)

import pytest
import torch

from burnish.benchmarks.performance import contrast as benchmark
from burnish.speed.memory import CountedMemory


def test_every_way_computes_the_same_loss():
    problem = benchmark.Problem(9, 13, d=3)
    reference = benchmark.ours(*problem.tensors)
    for way in benchmark.baselines(problem).values():
        torch.testing.assert_close(way(*problem.tensors), reference, rtol=1e-4, atol=1e-5)
    assert set(benchmark.baselines(problem)) == {"cdist", "broadcast"}


def test_large_problems_leave_out_what_would_not_fit():
    class Large(benchmark.Problem):
        def __post_init__(self) -> None:
            """Nothing to draw: only the sizes matter."""

    assert benchmark.baselines(Large(4096, 100_000)) == {}
    assert not Large(4096, 100_000).kept
    assert Large(2048, 2048).kept


def test_products_are_those_of_the_loss():
    """The multiplications that the yardstick does are those that the loss does, but for its two extra columns."""
    problem = benchmark.Problem(6, 10, d=2)

    class Products(torch.utils._python_dispatch.TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.count = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.count += "mm" in func.__name__.split(".")[0]
            return func(*args, **(kwargs or {}))

    with Products() as mine:
        benchmark.step(problem, benchmark.ours)
    with Products() as bare:
        benchmark.matrix_products(problem)()
    assert mine.count == bare.count == 3


def test_counted_memory():
    before = torch.ones(10)
    with CountedMemory(before) as memory:
        x = before.add(1)  # 40 bytes
        y = x.view(5, 2)  # none
        del x, y
        z = torch.zeros(25)  # 100 bytes, after the first were given back
        before.mul_(2)
    assert memory.largest == 100
    assert memory.peak == 100
    assert z.shape == (25,)


def test_prints_a_table(capsys):
    benchmark.main(["--sizes", "16x20", "--repeats", "1", "--width", "4"])
    printed = capsys.readouterr().out
    for way in ("products", "contrast", "cdist", "broadcast"):
        assert way in printed


def test_wrong_size_is_named(capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["--sizes", "many"])
    assert "--sizes many: give rows x keys" in capsys.readouterr().err

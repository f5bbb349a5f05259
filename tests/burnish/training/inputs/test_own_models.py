"""Own model classes and enhancers with the mistakes that people make: what is said, and when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from own_world import imports_as_before

import burnish
from burnish.enhancers.registry import make_enhancers
from burnish.enhancers.zoo import find_backbone
from burnish.errors import ConfigurationError, NonFiniteError, UnknownNameError, UnsupportedError

HEAD = """
import torch
from recbole.model.abstract_recommender import GeneralRecommender, SequentialRecommender
from recbole.utils import InputType
from torch import nn


class Fit(GeneralRecommender):
    input_type = InputType.PAIRWISE

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.users = nn.Embedding(self.n_users, 4)
        self.items = nn.Embedding(self.n_items, 4)

    def calculate_loss(self, batch):
        return -self.predict(batch).mean()

    def predict(self, batch):
        return (self.users(batch["user_id"]) * self.items(batch["item_id"])).sum(-1)

    def full_sort_predict(self, batch):
        return self.users(batch["user_id"]) @ self.items.weight.t()


"""
#: Lines of HEAD, so that messages can be held to theirs.
FIRST = HEAD.count("\n") + 1


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    with imports_as_before():
        yield


def write(body: str, base: str = "Fit") -> str:
    inner = "".join(f"    {line}\n" for line in body.splitlines())
    Path("own.py").write_text(f"{HEAD}class Own({base}):\n{inner}")
    return "own.py:Own"


def said_of(place: Any) -> str:
    with pytest.raises(ConfigurationError) as error:
        find_backbone(place)
    return str(error.value)


def run(place: str, data_path: Path, enhancers: Any = None, **options: Any) -> Any:
    config = {"data_path": str(data_path), "epochs": 1, "threads": 1, **options}
    return burnish.run(place, "tiny", enhancers=enhancers, config=config, show_progress=False)


def refusal(data_path: Path, *args: Any, **options: Any) -> str:
    with pytest.raises((ConfigurationError, NonFiniteError)) as error:
        run(args[0], data_path, *args[1:], **options)
    return str(error.value)


# ---------------------------------------------------------------------- before anything is read


def test_what_is_right_passes() -> None:
    assert find_backbone(write("pass")).__name__ == "Own"


def test_missing_methods_are_told_together() -> None:
    said = said_of(
        write("input_type = InputType.PAIRWISE\ndef calculate_los(self, i):\n    pass", "GeneralRecommender")
    )
    assert said.startswith(f"Own (own.py, line {FIRST}) cannot be trained: ")
    assert "calculate_loss(self, interaction) is missing (is it calculate_los?), which gives the loss" in said
    assert "predict(self, interaction) is missing, which gives the scores" in said


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "def __init__(self):\n    pass",
            "__init__(self) (own.py, line {line}) cannot be called as RecBole does",
        ),
        ("def __init__(self, config, dataset, width):\n    pass", "missing a required argument: 'width'"),
        ("def calculate_loss(self):\n    pass", "write def calculate_loss(self, interaction)"),
        ("def predict(self, users, items):\n    pass", "predict(self, users, items) (own.py, line {line})"),
        ("@staticmethod\ndef predict():\n    pass", "cannot be called as RecBole does, predict(interaction)"),
        ("predict = 3", "predict is a int, and RecBole calls it"),
        ("async def predict(self, interaction):\n    pass", "is asynchronous"),
        (
            "input_type = 'pairwise'",
            "input_type = 'pairwise' is a str, not one of RecBole's kinds: say input_type = ",
        ),
        ("input_type = None", "input_type = None is a NoneType"),
        ("type = 'general'", "type = 'general' is a str: derive it from GeneralRecommender"),
    ],
)
def test_wrong_parts(body: str, words: str) -> None:
    said = said_of(write(body))
    line = FIRST + 1 + body.startswith("@")
    assert words.format(line=line if "@" not in body else line - 1) in said


def test_what_is_no_class_of_a_model() -> None:
    with pytest.raises(UnsupportedError, match=r"builtins\.object is not a RecBole model class"):
        find_backbone(object)
    for thing in (3, None, find_backbone):
        assert "give the name of a backbone, its class (not a model that is made)" in said_of(thing)
    Sharper = type("Sharper", (burnish.Enhancer,), {"name": "sharper"})
    assert "Sharper is an enhancer, not a backbone" in said_of(Sharper)


@pytest.mark.parametrize("name", ["Own", "own", "own.Own", "own.py.Own"])
def test_names_of_classes_in_files_beside(name: str) -> None:
    write("pass")
    for find in (find_backbone, make_enhancers):
        with pytest.raises(UnknownNameError, match=r"is not known\. Did you mean 'own\.py:Own'\?"):
            find(name)
    with pytest.raises(UnknownNameError, match="burnish models"):
        find_backbone("Other")


def test_a_sequential_class_without_input_type(data_path: Path) -> None:
    body = "def calculate_loss(self, i):\n    pass\ndef predict(self, i):\n    pass"
    said = refusal(data_path, write(body, "SequentialRecommender"))
    assert f"Own (own.py, line {FIRST}) has no input_type" in said
    assert "say input_type = InputType.POINTWISE in the class" in said
    said = refusal(data_path, "own.py:Own", loss_type="XY")
    assert "loss_type = 'XY'" in said
    assert "losses CE and BPR only" in said


def test_predict_where_it_is_asked_for(data_path: Path) -> None:
    place = write(
        "predict = GeneralRecommender.predict\ndef calculate_loss(self, b):\n    return self.users.weight.sum()"
    )
    assert run(place, data_path).test_result
    said = refusal(data_path, place, eval_args={"mode": "uni20"})
    assert "has no predict(self, interaction)" in said


# ---------------------------------------------------------------------- when it is made, and what it gives first


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "def calculate_loss(self, b):\n    return 3.0",
            "Own.calculate_loss (own.py, line {line}) gives a float",
        ),
        ("def calculate_loss(self, b):\n    self.predict(b)", "gives None (is there no return?)"),
        (
            "def calculate_loss(self, b):\n    return self.predict(b)",
            "one number for each row it seems: take its mean",
        ),
        ("def calculate_loss(self, b):\n    return [self.predict(b).mean()]", "gives a list"),
        (
            "def calculate_loss(self, b):\n    return self.predict(b).mean().detach()",
            "no gradient goes back from",
        ),
        ("def calculate_loss(self, b):\n    return self.predict(b).mean(), 1.0", "gives a float in a tuple"),
        (
            "def full_sort_predict(self, b):\n    return self.users(b['user_id'])",
            "] for 3 rows and n_items =",
        ),
        (
            "def full_sort_predict(self, b):\n    return self.items.weight @ self.users(b['user_id']).t()",
            "turn it over (.t()); it is to give the scores of all items",
        ),
        (
            "def full_sort_predict(self, b):\n    return nowhere",
            "line {next}: return nowhere (NameError: name 'nowhere'",
        ),
        (
            "full_sort_predict = GeneralRecommender.full_sort_predict\ndef predict(self, b):\n"
            "    return self.users(b['user_id'])",
            "Own.predict (own.py, line",
        ),
        (
            "input_type = InputType.POINTWISE\ndef calculate_loss(self, b):\n    return self.predict(b).mean() * "
            "b['neg_item_id'].sum()",
            "batches of input_type POINTWISE have no neg_item_id: say input_type = InputType.PAIRWISE",
        ),
        (
            "def __init__(self, config, dataset):\n    self.a = nn.Linear(1, 1)",
            "super().__init__(config, dataset)",
        ),
        (
            "def __init__(self, config, dataset):\n    1 / 0",
            "Own.__init__ stops in own.py, line {next}: 1 / 0 (Zero",
        ),
        (
            "def __init__(self, config, dataset):\n    super(Fit, self).__init__(config, dataset)",
            "it has no parameters; in __init__ give it layers",
        ),
        (
            "def __init__(self, config, dataset):\n    super().__init__(config, dataset)\n"
            "    self.requires_grad_(False)",
            "all parameters are frozen",
        ),
    ],
)
def test_first_results(body: str, words: str, data_path: Path) -> None:
    place = write(body)
    before = dict(vars(find_backbone(place)))
    said = refusal(data_path, place)
    assert words.format(line=FIRST + 1, next=FIRST + 2) in said, said
    assert dict(vars(find_backbone(place))) == before, "the class is as it was"


def test_with_enhancers(data_path: Path) -> None:
    place = write("def calculate_loss(self, b):\n    return self.predict(b)")
    assert "Own.calculate_loss (own.py" in refusal(data_path, place, "rvrec")


def test_in_sampled_evaluation(data_path: Path) -> None:
    place = write("def predict(self, b):\n    return super().predict(b).unsqueeze(-1)")
    said = refusal(data_path, place, eval_args={"mode": "uni20"})
    assert "squeeze it (.squeeze(-1))" in said


def test_a_look_leaves_no_trace(data_path: Path) -> None:
    """The scores of a model that draws, counts and drops: with and without the look, the same figures."""
    body = (
        "def __init__(self, config, dataset):\n    super().__init__(config, dataset)\n"
        "    self.drop = nn.Dropout(0.5)\n    self.norm = nn.BatchNorm1d(4)\n    self.calls = 0\n"
        "def calculate_loss(self, b):\n    return -self.drop(self.norm(self.users(b['user_id']))).mean() "
        "- super().calculate_loss(b)\n"
        "def full_sort_predict(self, b):\n    self.calls += 1\n"
        "    scores = super().full_sort_predict(b)\n    return scores + torch.rand_like(scores) / (1 + self.calls)"
    )
    looked = run(write(body), data_path)
    with imports_as_before(), pytest.MonkeyPatch.context() as patch:
        from burnish.training import stages

        patch.setattr(stages, "check_scores", lambda *_: None)
        plain = run("own.py:Own", data_path)
    assert looked.losses == plain.losses
    assert looked.test_result == plain.test_result


def test_out_of_memory_is_not_their_fault(data_path: Path) -> None:
    body = "def calculate_loss(self, b):\n    raise RuntimeError('CUDA out of memory')"
    with pytest.raises(RuntimeError, match=r"^CUDA out of memory"):
        run(write(body), data_path)


# ---------------------------------------------------------------------- enhancers

ENHANCER = """
import torch
from burnish import Enhancer
from burnish.enhancers.options import EnhancerConfig


class Own(Enhancer):
    name = "own"
"""
LINES = ENHANCER.count("\n") + 1


def write_enhancer(body: str) -> str:
    Path("mine.py").write_text(ENHANCER + "".join(f"    {line}\n" for line in body.splitlines()))
    return "mine.py:Own"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("Config = dict", "Config = dict: derive it from EnhancerConfig"),
        ("name = 3", "Own.name = 3"),
        (
            "def weigh(self):\n    pass",
            f"weigh(self) (mine.py, line {LINES}) cannot be called as weigh(self, batch",
        ),
        ("def refine(self, rows):\n    pass", "cannot be called as refine(self, rows"),
        ("loss = {}", "loss is a dict: write def loss(self, batch"),
        ("def __init__(self):\n    pass", "cannot be called as __init__(self, config=None, **options)"),
    ],
)
def test_classes_of_enhancers(body: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        make_enhancers(write_enhancer(body))
    assert words in str(error.value)


def test_an_enhancer_without_a_hook() -> None:
    with pytest.warns(UserWarning, match="overrides no hook of Enhancer.*is wiegh meant as weigh"):
        make_enhancers(write_enhancer("def wiegh(self, batch):\n    pass"))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "def weigh(self, batch):\n    return 3.0",
            f"weigh gave a float (mine.py, line {LINES}); for a batch of",
        ),
        ("def weigh(self, batch):\n    return torch.ones(2)", "weigh gave shape (2,)"),
        ("def loss(self, batch):\n    return torch.ones(2)", "loss gave a Tensor"),
        ("def loss(self, batch):\n    return {'x': 1.0}", "loss gave a float"),
        (
            "def refines(self, table):\n    return True\ndef refine(self, rows, ids, table):\n    pass",
            "refine gave None",
        ),
        (
            "def refines(self, table):\n    return True\ndef refine(self, rows, ids, table):\n    return rows[:1]",
            "give rows of the shape that came",
        ),
        (
            "def rescore(self, scores, items):\n    return scores.view(-1)[1:]",
            "give scores of the shape that came, (",
        ),
        (
            "def rescore(self, scores, items):\n    return scores.argsort()",
            f"enhancer 'own': rescore gave torch.int64 (mine.py, line {LINES}); give floating-point numbers",
        ),
        (
            "def rescore(self, scores, items):\n    return (scores - scores.mean()).log()",
            f"that were finite (mine.py, line {LINES}); give finite ones",
        ),
        (
            "def rescore(self, scores, items):\n    return scores.mul_(float('nan'))",
            "rescore gave NaN or infinite values for",
        ),
        (
            "def bind(self, anatomy, dataset):\n    nowhere",
            f"Own.bind stops in mine.py, line {LINES + 1}: nowhere (Name",
        ),
        ("def loss(self, batch):\n    return {}[3]", f"Own.loss stops in mine.py, line {LINES + 1}: return"),
    ],
)
def test_what_hooks_give(body: str, words: str, data_path: Path) -> None:
    assert words in refusal(data_path, "BPR", write_enhancer(body))


def test_recbole_s_own_models_are_left_alone(data_path: Path) -> None:
    from recbole.model.general_recommender import BPR

    from burnish.training.inputs.own_models import _own_methods

    class Plain(BPR):
        pass

    assert _own_methods(BPR) == {}
    assert _own_methods(Plain) == {}
    before = dict(vars(BPR))
    run("BPR", data_path)
    assert dict(vars(BPR)) == before


def test_scores_in_another_type_are_taken() -> None:
    """Finite ones, and what a backbone rules out itself stays ruled out."""
    from burnish.enhancers.own_hooks import other_scores

    (own,) = make_enhancers(
        write_enhancer("def rescore(self, scores, items):\n    return scores.double() * 2")
    )
    came = torch.tensor([1.0, -torch.inf, 3e38])
    given = other_scores(own, own.rescore(came, None).clamp(max=3e38), came)
    assert given.dtype == came.dtype
    assert given.tolist() == torch.tensor([2.0, -torch.inf, 3e38]).tolist()

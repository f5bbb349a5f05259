"""Options with a wrong type, not a number, out of range or misspelt: name, value and cure, before anything is read."""

from __future__ import annotations

import math
from typing import Any

import pytest

from burnish.errors import BurnishError


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"train_batch_size": 0}, "train_batch_size = 0: give a whole number, 1 or more"),
        ({"train_batch_size": 25.5}, "train_batch_size = 25.5: give a whole number"),
        ({"learning_rate": math.nan}, "learning_rate = nan: give a number that is finite"),
        ({"eval_memory_mib": math.inf}, "eval_memory_mib = inf: give a number that is finite"),
        ({"learning_rate": "fast"}, "learning_rate = 'fast': give a number"),
        ({"learning_rate": 0}, "learning_rate = 0: give a number above 0"),
        ({"embedding_size": True}, "embedding_size = True: give a whole number"),
        ({"embedding_size": -4}, "embedding_size = -4: give a whole number, 1 or more"),
        ({"weight_decay": [0.1]}, "weight_decay ="),
        ({"use_gpu": "perhaps"}, "use_gpu = 'perhaps': give a truth value, as in true or false"),
        ({"epochs": None}, "epochs = None"),
        ({"learner": "adma"}, "'adam'"),
        ({"learner": "lion"}, "learner = 'lion' is not known"),
        ({"learner": "sparse_adam"}, "no sparse gradients"),
        ({"rm_dup_inter": "frist"}, "Did you mean 'first'"),
        ({"metrics": ["NDGC"]}, "Did you mean 'NDCG'"),
        ({"metrics": []}, "metrics = [[][]]: give at least one"),
        ({"metrics": ["NDCG", "AUC"]}, "one kind"),
        ({"topk": [10, 0]}, "topk = .* above 0"),
        ({"topk": "ten"}, "topk = 'ten'"),
        ({"valid_metric": 3}, "valid_metric = 3"),
        ({"eval_args": {"splitt": {"RS": [8, 1, 1]}}}, "eval_args: key 'splitt'.* Did you mean 'split'"),
        ({"eval_args": {"split": {"RS": [0.8, 0.2]}}}, "three shares"),
        ({"eval_args": {"split": {"RS": [0, 0.5, 0.5]}}}, "training must be above 0"),
        ({"eval_args": {"split": {"LS": "tset_only"}}}, "Did you mean 'test_only'"),
        ({"eval_args": {"order": "OT"}}, "eval_args.order = 'OT'"),
        ({"eval_args": {"group_by": "item"}}, "eval_args.group_by = 'item'"),
        ({"eval_args": {"mode": "uni"}}, "Did you mean 'uni100'"),
        ({"train_neg_sample_args": {"distributoin": "uniform"}}, "Did you mean 'distribution'"),
        ({"train_neg_sample_args": {"distribution": "popular"}}, "Did you mean 'popularity'"),
        ({"train_neg_sample_args": {"sample_num": 0}}, "sample_num = 0: give a whole number, 1 or more"),
        ({"train_neg_sample_args": {"dynamic": True}}, "candidate_num = 0"),
        ({"train_neg_sample_args": 3}, "train_neg_sample_args = 3"),
        ({"train_neg_sample_args": None}, "BPR compares each item with a sampled one"),
        ({"clip_grad_norm": {"maxnorm": 1}}, "Did you mean 'max_norm'"),
        ({"encoding": "utf-88"}, "encoding = 'utf-88'.* Did you mean 'utf-8'"),
        ({"user_inter_num_interval": 5}, "'5' is an illegal interval"),
        ({"item_inter_num_interval": "[5,inf"}, "illegal interval"),
        ({"item_inter_num_interval": "[9,5]"}, "lower end comes first"),
        ({"val_interval": {"rating": ">3"}}, "val_interval.rating = '>3': '>3' is an illegal interval"),
        ({"gpu_id": "first"}, "gpu_id = 'first'"),
        ({"seed": -1}, "seed = -1: give a whole number, 0 or more"),
        ({"USER_ID_FIELD": "item_id"}, "ITEM_ID_FIELD = 'item_id' and USER_ID_FIELD = 'item_id'"),
        ({"normalize_all": True, "normalize_field": ["price"]}, "one of the two"),
    ],
)
def test_values(world: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(BurnishError, match=says):
        world.train(**options)


def test_adamw_trains_adamw(world: Any) -> None:
    from burnish.enhancers.zoo import find_backbone
    from burnish.training.request import make_config
    from burnish.training.stages import Run

    run = Run(make_config(find_backbone("BPR"), "d", {}, world.options("BPR", {"learner": "adamw"})), None)
    run.prepare()
    assert type(run.trainer.optimizer).__name__ == "AdamW"


@pytest.mark.parametrize(
    ("split", "valid", "test"), [("test_only", False, True), ("valid_only", True, False)]
)
def test_leave_one_out_of_one_part(world: Any, split: str, valid: bool, test: bool) -> None:
    result = world.train(eval_args={"split": {"LS": split}})
    assert bool(result.valid_result) == valid
    assert bool(result.test_result) == test


def test_option_of_the_model_names_itself(world: Any) -> None:
    """What only the model's constructor knows comes with the options that were given."""
    with pytest.raises(BurnishError, match=r"multiple of the number of attention heads.*n_heads = 3"):
        world.train("SASRec", n_heads=3)


def test_defaults_of_every_model_pass() -> None:
    from burnish.enhancers.zoo import find_backbone, list_backbones
    from burnish.training.inputs.declared import declared_options
    from burnish.training.inputs.options import check_options

    tried = 0
    for name in list_backbones():
        try:
            model = find_backbone(name)
        except BurnishError:  # its package is not installed
            continue
        options = {key: option.default for key, option in declared_options(model).items()}
        if "loss_type" in options and not hasattr(model, "input_type") and options["loss_type"] == "CE":
            options["train_neg_sample_args"] = None
        check_options(options, options.keys(), model)
        tried += 1
    assert tried > 80

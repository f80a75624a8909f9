"""Settings that cannot be meant are refused when they are made."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from spanbert.errors import UsageError
from spanbert.training.config import TrainConfig
from spanbert.training.optimizer import DECAYS


@pytest.mark.parametrize(
    "name", ["epochs", "learning_rate", "head_learning_rate", "max_tokens", "clip", "patience", "checkpoint_minutes"]
)
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_what_must_be_positive(name: str, value: float):
    with pytest.raises(UsageError, match=f"{name} = {value}"):
        TrainConfig(**{name: value})


@pytest.mark.parametrize("name", ["warmup", "weight_decay"])
def test_shares(name: str):
    TrainConfig(**{name: 0.0})
    for value in (-0.1, 1.0, math.nan):
        with pytest.raises(UsageError, match=name):
            TrainConfig(**{name: value})


def test_choices():
    with pytest.raises(UsageError, match="one of linear, cosine"):
        TrainConfig(schedule="step")
    with pytest.raises(UsageError, match="one of never, auto"):
        TrainConfig(resume="yes")
    for name in DECAYS:
        assert TrainConfig(schedule=name).schedule == name


def test_seed():
    assert TrainConfig(seed=0).seed == 0
    with pytest.raises(UsageError, match="seed = -1"):
        TrainConfig(seed=-1)
    with pytest.raises(UsageError, match="seed = 1000"):
        TrainConfig(seed=10**30)


@pytest.mark.parametrize("name", ["epochs", "max_tokens", "patience", "seed", "learning_rate", "clip", "warmup"])
@pytest.mark.parametrize("value", ["1", True, np.int64(1), np.float32(0.5), [1]])
def test_numbers_are_of_python_since_settings_are_saved(name: str, value: object):
    with pytest.raises(UsageError, match=re.escape(f"{name} = {value!r}")):
        TrainConfig(**{name: value})


def test_what_is_left_to_the_data_is_no_number():
    config = TrainConfig()
    assert config.epochs is None and config.learning_rate is None and config.output is None


@pytest.mark.parametrize("name", ["epochs", "max_tokens", "patience"])
def test_whole_numbers(name: str):
    with pytest.raises(UsageError, match=f"{name} = 1.5"):
        TrainConfig(**{name: 1.5})

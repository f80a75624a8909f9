"""A corpus of given pieces."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spanbert.pretraining.corpus import BlockCorpus


@pytest.fixture
def corpus_of(tmp_path: Path) -> Callable[..., BlockCorpus]:
    """From blocks of pieces; each call writes a folder of its own."""

    def made(*blocks: list[int]) -> BlockCorpus:
        folder = tmp_path / f"corpus-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        pieces = [piece for block in blocks for piece in block]
        np.array(pieces, dtype=np.uint16).tofile(folder / "pieces.bin")
        np.zeros(len(pieces), dtype=np.bool_).tofile(folder / "begins.bin")
        np.cumsum([0, *map(len, blocks)]).tofile(folder / "borders.bin")
        about = {
            "kind": "uint16",
            "counts": {},
            "tokenizer": "",
            "block": 8,
            "source": "",
            "fingerprint": "",
            "sums": {},
        }
        (folder / "corpus.json").write_text(json.dumps(about), encoding="utf-8")
        return BlockCorpus.read(folder)

    return made

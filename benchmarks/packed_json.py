"""Records of runs: JSON in a packed file that is there whole or not at all; the same record gives the same bytes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from spanbert import durable


def write(path: Path, record: Any) -> None:
    """The folder is made where it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with durable.replacing(path) as stream:
        stream.write(gzip.compress(json.dumps(record, separators=(",", ":")).encode(), mtime=0))


def read(path: Path) -> Any:
    return json.loads(gzip.decompress(path.read_bytes()))

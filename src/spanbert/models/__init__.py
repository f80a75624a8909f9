"""The models inside the package: an encoder to start from, and an extractor to use at once.

Each is a model folder beside this file, named like the model, with a card that says what it was made of.
"""

from __future__ import annotations

from pathlib import Path

BASE = "spanbert-minilm"
"""The encoder that training starts from where none is named."""
EXTRACTOR = "spanbert-ner"
"""The model that predicts where none is named."""
_HERE = Path(__file__).parent


def shipped() -> dict[str, Path]:
    """Folder of each model of the package."""
    return {path.parent.name: path.parent for path in sorted(_HERE.glob("*/config.json"))}

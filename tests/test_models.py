"""The models inside the package: found by name, small enough to ship, and of use at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import torch

from spanbert import SpanModel, continued
from spanbert.bundle import load_base, read
from spanbert.encoder.files import locate
from spanbert.errors import UsageError
from spanbert.model_card import model_card
from spanbert.models import BASE, EXTRACTOR, shipped

SPANBERT = [sys.executable, "-c", "from spanbert.cli import main; main()"]
TEXT = "Barack Obama was born in Honolulu on August 4, 1961, and worked for Microsoft Corporation in Seattle."


def test_the_defaults_are_in_the_package():
    assert {BASE, EXTRACTOR} <= shipped().keys()


def test_all_weights_together_are_small_enough_for_a_package():
    total = sum(path.stat().st_size for folder in shipped().values() for path in folder.iterdir())
    assert total < 100_000_000


@pytest.mark.parametrize("name", sorted(shipped()))
def test_each_says_what_it_is(name: str):
    card = (shipped()[name] / "README.md").read_text(encoding="utf-8")
    assert "license: apache-2.0" in card and f"# {name}" in card and "## Limits" in card
    assert "## Measured" in card
    assert card == model_card(read(shipped()[name]))  # not of an earlier version
    record = json.loads((shipped()[name] / "spanbert.json").read_text())
    assert "/" not in json.dumps(record["facts"].get("base_model", ""))  # nobody's path


def test_the_small_encoder_has_at_most_twelve_million_parameters_and_reads_case():
    folder = locate("spanbert-mini")
    model = continued("spanbert-mini")
    assert sum(parameter.numel() for parameter in model.bundle.network.parameters()) <= 12_000_000
    encoder, tokenizer = load_base(folder)
    assert not tokenizer.lowercase and encoder.longest >= 512
    assert encoder.words.weight.dtype == torch.float32


@pytest.mark.parametrize("name", sorted(shipped().keys() - {EXTRACTOR}))
def test_stock_classes_read_the_encoders(name: str):
    from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

    folder = locate(name)
    tokenizer, filler = AutoTokenizer.from_pretrained(folder), AutoModelForMaskedLM.from_pretrained(folder)
    row = tokenizer("The Federal Reserve raised interest [MASK] again.", return_tensors="pt")
    place = row["input_ids"][0].tolist().index(tokenizer.mask_token_id)
    with torch.no_grad():
        best = filler(**row).logits[0, place].topk(5).indices.tolist()
        assert AutoModel.from_pretrained(folder)(**row).last_hidden_state.shape[-1] == filler.config.hidden_size
    assert "rates" in tokenizer.convert_ids_to_tokens(best)


def test_the_extractor_finds_names_and_dates():
    model = SpanModel.from_pretrained(EXTRACTOR)
    assert set(model.labels) == {"PERSON", "ORG", "LOCATION", "DATE", "MISC"}
    found = {(TEXT[span.start : span.end], span.label) for span in model.predict(TEXT).spans}
    wanted = {("Barack Obama", "PERSON"), ("Honolulu", "LOCATION"), ("August 4, 1961", "DATE"), ("Seattle", "LOCATION")}
    assert wanted <= found and ("Microsoft Corporation", "ORG") in found


def test_predict_needs_no_model(tmp_path: Path):
    (tmp_path / "text.txt").write_text(TEXT)
    run = subprocess.run(
        [*SPANBERT, "predict", "--input", "text.txt"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    spans = orjson.loads(run.stdout)["spans"]
    assert ("Barack Obama", "PERSON") in {(span["text"], span["label"]) for span in spans}


def test_a_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert locate(BASE) == shipped()[BASE]
    (tmp_path / BASE).mkdir()
    assert locate(BASE) == Path(BASE)


def test_a_slip_of_the_pen_is_told():
    with pytest.raises(UsageError, match="did you mean 'spanbert-mini'"):
        locate("spanbert-mni")

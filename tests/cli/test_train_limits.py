"""Limits in a configuration file, through training into the model folder and its predictions."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from spanbert.formats import read_documents

from .conftest import Program


def test_limits_are_saved_with_the_model_and_hold(
    program: Program, tiny_encoder: Path, toy_files: Path, tmp_path: Path
):
    labels = sorted({span.label for document in read_documents(toy_files / "dev.jsonl") for span in document.spans})
    config = tmp_path / "c.toml"
    config.write_text(f'epochs = 1\n[limits]\nat_most = {{"{labels[0]}" = 1}}\nforbidden = [["{labels[0]}", "nobody"]]')
    files = ("--train", toy_files / "dev.jsonl", "--dev", toy_files / "dev.jsonl", "--base-model", tiny_encoder)
    done = program("train", *files, "--config", config, "--output", tmp_path / "m")
    assert done.returncode == 2
    assert "label 'nobody' in the limits" in done.stderr

    config.write_text(config.read_text().replace(f'[["{labels[0]}", "nobody"]]', "[]"))
    done = program("train", *files, "--config", config, "--output", tmp_path / "m")
    assert done.returncode == 0, done.stderr
    saved = json.loads((tmp_path / "m" / "spanbert.json").read_text())["tasks"]["span-classification"]["settings"]
    assert saved["limits"] == {"at_most": {labels[0]: 1}, "forbidden": []}
    done = program(
        *("predict", "--model", tmp_path / "m", "--input", toy_files / "dev.jsonl", "--threshold", "0"),
        *("--output", tmp_path / "out.jsonl"),
    )
    assert done.returncode == 0, done.stderr
    counts = [Counter(span.label for span in document.spans) for document in read_documents(tmp_path / "out.jsonl")]
    assert max(count[labels[0]] for count in counts) == 1
    assert max(count[label] for count in counts for label in labels[1:]) > 1

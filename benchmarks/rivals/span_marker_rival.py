"""Run by `other_tools.py` in SpanMarker's own environment (`pip install span_marker`): trains and predicts units.

128 markers and spans as long as `longest` words are its defaults; the text gets 128 pieces in place of 256: hardly a
sentence is longer, and it is twice as fast. Steps of eight windows: with as many positions a step as the other tools
(115 steps) it reached an F1 of 0.18 on the dev part of FIRE. It knows no nesting: of spans that overlap the longest is
taught.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from datasets import ClassLabel, Dataset, Features, Sequence, Value
from span_marker import SpanMarkerModel, Trainer
from strict_f1 import f1
from transformers import TrainingArguments, set_seed

WINDOWS = 8  # of a step


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    job = json.loads(source.read_text(encoding="utf-8"))
    start = time.perf_counter()
    set_seed(job["seed"])
    names = ["O", *(f"{prefix}-{label}" for label in job["labels"] for prefix in "BI")]
    model = SpanMarkerModel.from_pretrained(
        job["encoder"],
        labels=names,
        model_max_length=128,
        marker_max_length=128,
        entity_max_length=job["longest"],
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                folder,
                learning_rate=job["rate"],
                num_train_epochs=job["epochs"],
                per_device_train_batch_size=WINDOWS,
                weight_decay=0.01,
                warmup_ratio=0.1,
                seed=job["seed"],
                bf16=job["bf16"],
                use_cpu=job["device"] == "cpu",
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                logging_strategy="no",
            ),
            train_dataset=dataset(job["train"], names),
        )
        trainer.train()
    model.to(job["device"])
    dev, found = (predict(model, job[part]) for part in ("dev", "test"))
    record = {"dev_f1": f1(job["dev"], dev), "found": found, "seconds": round(time.perf_counter() - start)}
    target.write_text(json.dumps(record))


def dataset(units, names):
    number = {name: index for index, name in enumerate(names)}
    rows = {"tokens": [], "ner_tags": []}
    for unit in units:
        tags = [0] * len(unit["words"])
        for first, last, label in sorted(unit["spans"], key=lambda span: span[0] - span[1]):
            if not any(tags[first : last + 1]):
                tags[first : last + 1] = [number[f"B-{label}"]] + [number[f"I-{label}"]] * (last - first)
        rows["tokens"].append(unit["words"])
        rows["ner_tags"].append(tags)
    features = Features({"tokens": Sequence(Value("string")), "ner_tags": Sequence(ClassLabel(names=names))})
    return Dataset.from_dict(rows, features=features)


def predict(model, units):
    found = []
    for entities in model.predict([unit["words"] for unit in units], batch_size=16):
        found.append([[e["word_start_index"], e["word_end_index"] - 1, e["label"]] for e in entities])
    return found


if __name__ == "__main__":
    main()

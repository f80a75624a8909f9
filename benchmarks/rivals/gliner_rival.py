"""Run by `other_tools.py` in GLiNER's own environment (`pip install "gliner[training]"`): trains and predicts units.

A new GLiNER over the given encoder, with the defaults of its configuration; `wide` takes its token-level kind, which
its authors give for spans longer than twelve words. The head, which begins at random, learns at ten times the rate of
the encoder, warmed up over a tenth of the steps. Its threshold is the one of six with the best F1 on dev.
"""

import json
import random
import sys
import tempfile
import time
from pathlib import Path

import torch
from gliner import GLiNER, GLiNERConfig
from strict_f1 import f1
from transformers import set_seed

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
SENTENCES = 8  # of a step, at most: as in its authors' recipe


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    job = json.loads(source.read_text(encoding="utf-8"))
    start = time.perf_counter()
    set_seed(job["seed"])
    random.seed(job["seed"])
    wide = {"span_mode": "token_level"} if job["wide"] else {}
    config = GLiNERConfig(model_name=job["encoder"], max_width=12, max_len=512, **wide)
    model = GLiNER.from_config(config)
    batch = min(SENTENCES, job["batch"])
    train = [{"tokenized_text": unit["words"], "ner": unit["spans"]} for unit in job["train"]]
    with tempfile.TemporaryDirectory() as folder:
        model.train_model(
            train,
            train[:8],
            output_dir=folder,
            learning_rate=job["rate"],
            others_lr=10 * job["rate"],
            warmup_ratio=0.1,
            lr_scheduler_type="linear",
            per_device_train_batch_size=batch,
            max_steps=job["epochs"] * -(-len(train) // batch),
            seed=job["seed"],
            bf16=job["bf16"],
            use_cpu=job["device"] == "cpu",
            save_strategy="no",
            dataloader_num_workers=0,
            disable_tqdm=True,
            logging_strategy="no",
        )
    model.to(job["device"]).eval()
    dev = predict(model, job["dev"], job, min(THRESHOLDS))
    threshold = max(THRESHOLDS, key=lambda least: f1(job["dev"], kept(dev, least)))
    found = kept(predict(model, job["test"], job, threshold), threshold)
    record = {
        "dev_f1": f1(job["dev"], kept(dev, threshold)),
        "threshold": threshold,
        "found": found,
        "seconds": round(time.perf_counter() - start),
    }
    target.write_text(json.dumps(record))


def predict(model, units, job, threshold):
    """For each unit its (first word, last word, label, probability)."""
    found = []
    with torch.inference_mode():
        for first in range(0, len(units), 16):
            texts, places = [], []
            for unit in units[first : first + 16]:
                texts.append(" ".join(unit["words"]))
                starts, position = [], 0
                for word in unit["words"]:
                    starts.append(position)
                    position += len(word) + 1
                places.append(starts)
            for starts, entities in zip(
                places,
                model.inference(texts, job["labels"], flat_ner=not job["nested"], threshold=threshold, batch_size=16),
                strict=True,
            ):
                found.append([[*words_of(starts, e["start"], e["end"]), e["label"], e["score"]] for e in entities])
    return found


def words_of(starts, start, end):
    """The words that the characters lie in: GLiNER cuts words at punctuation, the corpora may not."""
    first = max(i for i, s in enumerate(starts) if s <= start)
    last = max(i for i, s in enumerate(starts) if s < end)
    return first, last


def kept(found, threshold):
    return [[span[:3] for span in spans if span[3] >= threshold] for spans in found]


if __name__ == "__main__":
    main()

"""Which spans of a text are names of something? One label, `span`: plain yes/no span identification.

It starts from the encoder inside the package; `SpanModel.create("DIR", …)` starts from another one.
"""

from dataclasses import replace
from pathlib import Path

from spanbert import SpanModel, TrainConfig, read_documents, train

DATA = Path(__file__).parent / "data" / "redocred"
TEXT = "Barack Obama was the 44th president of the United States."


def main() -> None:
    documents = [
        replace(document, spans=tuple({replace(span, label="span"): None for span in document.spans}))
        for document in read_documents(DATA / "train.jsonl.gz")
    ]
    model = SpanModel.create(task="span-classification", labels=["span"])
    model = train(model, documents[:100], documents[-20:], TrainConfig(epochs=3))

    print(TEXT)
    for span in model.predict(TEXT).spans:
        print(f"  {TEXT[span.start : span.end]!r} at [{span.start}, {span.end}), probability {span.score:.2f}")

    print("the most probable pairs of start and end, before decoding:")
    for span in model.span_scores(TEXT, top=5):
        print(f"  {span.score:.3f}  {TEXT[span.start : span.end]!r}")


if __name__ == "__main__":
    main()

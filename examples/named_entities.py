"""Named entities of five kinds: PERSON, ORG, LOCATION, DATE, MISC.

It starts from the encoder inside the package; `SpanModel.create("DIR", …)` starts from another one.
"""

from pathlib import Path

from spanbert import SpanModel, TrainConfig, read_documents, train

DATA = Path(__file__).parent / "data" / "redocred"
TEXT = "Barack Obama was the 44th president of the United States."


def main() -> None:
    documents = list(read_documents(DATA / "train.jsonl.gz"))
    model = SpanModel.create(task="span-classification", labels=["PERSON", "ORG", "LOCATION", "DATE", "MISC"])
    model = train(model, documents[:100], documents[-20:], TrainConfig(epochs=3))

    print(TEXT)
    for span in model.predict(TEXT).spans:
        print(f"  {span.label:<8} {TEXT[span.start : span.end]!r}, probability {span.score:.2f}")

    best = model.predict(TEXT, policy="arg-max").spans[0]
    print(f"the best span alone: {TEXT[best.start : best.end]!r}")


if __name__ == "__main__":
    main()

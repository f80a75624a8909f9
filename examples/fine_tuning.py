"""Fine-tune on data of your own (start and end offsets), save, load, predict.

It starts from the encoder inside the package; `SpanModel.create("DIR", …)` starts from another one.
"""

from pathlib import Path

from spanbert import Document, Span, SpanModel, TrainConfig, evaluate, read_documents, train

DATA = Path(__file__).parent / "data" / "redocred"
TEXT = "In 2009 Angela Merkel received Barack Obama in Germany."


def my_data() -> list[tuple[str, list[tuple[int, int, str]]]]:
    """Any source will do: a text, and for each span its start, its end (exclusive, in characters) and its label."""
    documents = read_documents(DATA / "train.jsonl.gz")
    return [(document.text, [(span.start, span.end, span.label) for span in document.spans]) for document in documents]


def main() -> None:
    documents = [
        Document(f"mine-{number}", text, tuple(Span(start, end, label) for start, end, label in spans))
        for number, (text, spans) in enumerate(my_data())
    ]
    model = SpanModel.create(task="token-classification")
    model = train(model, documents[:100], documents[-20:], TrainConfig(epochs=3))
    model.save_pretrained("./fine-tuned-spanbert")

    loaded = SpanModel.from_pretrained("./fine-tuned-spanbert")
    report = evaluate(loaded, documents[200:240])
    low, high = report.micro.f1_interval or (0.0, 1.0)
    print(f"F1 {report.micro.f1:.2f} on 40 other documents, 95 % interval {low:.2f} to {high:.2f}")
    print(TEXT)
    for span in loaded.predict(TEXT).spans:
        print(f"  {span.label:<8} {TEXT[span.start : span.end]!r}, probability {span.score:.2f}")


if __name__ == "__main__":
    main()

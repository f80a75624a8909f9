"""Label Studio: the JSON and JSON_MIN exports are read; tasks with annotations or predictions are written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..documents import Document, Relation, Span
from ..errors import DataError, at
from . import strict_json
from .format import not_held
from .repair import RawSpan, clean_label, merge_duplicates, settle, warn_of_crossing
from .report import ReadReport
from .sinks import sink
from .sources import Source

SUFFIXES: tuple[str, ...] = ()
# Keys that tasks have and our documents do not: `data` of the full export, the others of JSON_MIN.
_TASK = re.compile(r'"data"\s*:\s*\{|"(annotation_id|annotator|lead_time|labels|hypertextlabels)"\s*:')
_ID, _TEXT, _META = "document_id", "text", "meta"
_FROM, _TO = "label", "text"  # names of the controls in the labelling configuration, in what is written
_BOOKKEEPING = ("created_at", "updated_at")
Items = list[dict[str, object]]


def recognises(source: Source) -> bool:
    """A JSON array of tasks."""
    head = source.head.lstrip()
    return head.startswith("[") and _TASK.search(head) is not None


def read(source: Source, report: ReadReport) -> Iterator[Document]:
    """A document per task; one without annotation has `annotated` = no label at all. Raises DataError.

    Of several annotations the ground truth is read, else the first; predictions only where `report.predicted`, of
    several the last. What is not read is counted.
    """
    with report.at(file=source.name):
        tasks = strict_json.parse(source.text())
        if not isinstance(tasks, list):
            raise DataError("JSON that is no list", "a list of tasks", "export it as JSON or JSON_MIN")
    for index, task in enumerate(tasks, start=1):
        with report.at(file=f"{source.name}, task {index}"):
            document = _document(strict_json.mapping(task, "a task"), index, report)
        yield document


def write(documents: Iterable[Document], target: str | Path) -> Counter[str]:
    """A list of tasks: spans with a score become a prediction (for pre-annotation), others an annotation."""
    lost: Counter[str] = Counter()
    with sink(target) as stream:
        before = b"[\n"
        for document in documents:
            with at(document=document.id):
                task, unlinked = _task(document)
                stream.write(before + strict_json.dump(task))
            before = b",\n"
            held = ("scores", "relations", "meta fields", *(("lists of annotated labels",) * (not task["annotations"])))
            lost += not_held(document, *held) + Counter({"relations": unlinked})
        stream.write(b"[]\n" if before == b"[\n" else b"\n]\n")
    return +lost


def _document(task: dict[str, object], index: int, report: ReadReport) -> Document:
    if "data" in task:
        data = strict_json.mapping(task["data"], "'data'")
        results = _chosen(task, report)
    else:
        data = {key: value for key, value in task.items() if key not in _BOOKKEEPING}
        results = _minimal(task)
    identifier = str(data.get(_ID, task.get("id", index)))
    with at(document=identifier):
        regions: Items = []
        links: Items = []
        for result in results or []:
            _sort(result, regions, links, report)
        key = _text_key(data, regions)
        text = strict_json.string(data, key, "'data'")
        names, raw = _raw_spans(regions)
        spans = merge_duplicates(settle(text, raw, report), report)
        warn_of_crossing(dict.fromkeys(spans), report)
        named = dict(zip(reversed(names), reversed(spans), strict=True))  # the first label of a region stands for it
        return Document(
            identifier,
            text,
            tuple(dict.fromkeys(spans)),
            tuple(relation for link in links for relation in _relations(link, named, report)),
            annotated=frozenset() if results is None else None,
            meta=_meta(data, key) if "data" in task else {},
        )


def _chosen(task: dict[str, object], report: ReadReport) -> Items | None:
    """The results of the annotation to read, None where there is none."""
    predictions = strict_json.items(task, "predictions")
    if predictions and report.predicted:
        last = strict_json.mapping(predictions[-1], "a prediction")
        return [strict_json.mapping(result, "a result") for result in strict_json.items(last, "result")]
    if predictions:
        report.warn("predictions (not read)", times=len(predictions))
    given = [strict_json.mapping(item, "an annotation") for item in strict_json.items(task, "annotations")]
    annotations = [annotation for annotation in given if not annotation.get("was_cancelled")]
    if len(annotations) < len(given):
        report.warn("annotations cancelled (not read)", times=len(given) - len(annotations))
    if not annotations:
        return None
    if len(annotations) > 1:
        report.warn("annotations beside the chosen one (not read)", times=len(annotations) - 1)
    truths = [annotation for annotation in annotations if annotation.get("ground_truth")]
    results = strict_json.items((truths or annotations)[0], "result")
    return [strict_json.mapping(result, "a result") for result in results]


def _minimal(task: dict[str, object]) -> Items:
    """JSON_MIN has the values only, in a list under the name of their control."""
    lists = [value for value in task.values() if isinstance(value, list)]
    values = [value for items in lists for value in items if isinstance(value, dict) and "labels" in value]
    return [{"type": "labels", "value": value} for value in values]


def _sort(result: dict[str, object], regions: Items, links: Items, report: ReadReport) -> None:
    kind, value = result.get("type"), result.get("value")
    if kind == "hypertextlabels" or isinstance(value, dict) and "globalOffsets" in value:
        raise DataError(
            "a region of an HTML task",
            "plain text tasks: Label Studio's offsets into HTML are known to be wrong",
            "label the text with <Text>, not <HyperText>, or convert the HTML to text first",
        )
    if kind == "labels":
        regions.append(result)
    elif kind == "relation":
        links.append(result)
    else:
        report.warn(f"results of type {kind!r} (not read)")


def _text_key(data: dict[str, object], regions: Items) -> str:
    """`text`, else the name that the regions point to, else the only string there is."""
    strings = [key for key, value in data.items() if isinstance(value, str)]
    pointed = [str(region.get("to_name")) for region in regions[:1]]
    for key in (_TEXT, *pointed):
        if key in strings:
            return key
    if len(strings) != 1:
        raise DataError(f"text under none of {', '.join(data) or 'no key'}", "a string under 'text'", "rename the key")
    return strings[0]


def _raw_spans(regions: Items) -> tuple[list[str], list[RawSpan]]:
    """Id and span for each label of each region."""
    names, raw = [], []
    for number, region in enumerate(regions):
        value = strict_json.mapping(region.get("value"), "the value of a region")
        copy = value.get("text") if isinstance(value.get("text"), str) else None
        for label in strict_json.items(value, "labels") or ["span"]:
            names.append(str(region.get("id", f"region {number}")))
            place = value.get("start"), value.get("end")
            raw.append(RawSpan(*place, label, region.get("score"), copy=None if copy is None else str(copy)))
    return names, raw


def _relations(link: dict[str, object], named: dict[str, Span], report: ReadReport) -> list[Relation]:
    ends = [strict_json.string(link, key, "a relation") for key in ("from_id", "to_id")]
    for end in ends:
        if end not in named:
            raise DataError(f"a relation with {end!r}, which is not there", "ids of regions", "remove the relation")
    head, tail = named[ends[0]], named[ends[1]]
    if link.get("direction") == "left":
        head, tail = tail, head
    labels = strict_json.items(link, "labels") or ["relation"]
    pairs = [(head, tail), (tail, head)] if link.get("direction") == "bi" else [(head, tail)]
    return [Relation(*pair, clean_label(label, "of a relation", report)) for pair in pairs for label in labels]


def _meta(data: dict[str, object], text_key: str) -> dict[str, object]:
    """The fields beside the text; in tasks that we wrote they lie under one key, as they cannot clash there."""
    if _ID in data:
        return strict_json.mapping(data.get(_META) or {}, "'meta'")
    return {key: value for key, value in data.items() if key != text_key}


def _task(document: Document) -> tuple[dict[str, Items | dict[str, object]], int]:
    """The task of a document, and how many of its relations join a scored span and one without score."""
    data: dict[str, object] = {_ID: document.id, _TEXT: document.text}
    if document.meta:
        data[_META] = dict(document.meta)
    sure = [span for span in document.spans if span.score is None]
    scored = [span for span in document.spans if span.score is not None]
    names = {span: f"s{index}" for index, span in enumerate(document.spans)}
    results = [_regions(document.text, spans, names) for spans in (sure, scored)]
    unlinked = 0
    for relation in document.relations:
        side = {relation.head.score is not None, relation.tail.score is not None}
        if len(side) == 1:
            results[side.pop()].append(_link(relation, names))
        else:
            unlinked += 1
    unannotated = not sure and (bool(scored) or document.annotated == frozenset() or document.coverage is not None)
    return {
        "data": data,
        "annotations": [] if unannotated else [{"result": results[0]}],
        "predictions": [{"model_version": "spanbert", "result": results[1]}] if scored else [],
    }, unlinked


def _regions(text: str, spans: Sequence[Span], names: dict[Span, str]) -> Items:
    regions: Items = []
    for span in spans:
        copy = text[span.start : span.end]
        value = {"start": span.start, "end": span.end, "text": copy, "labels": [span.label]}
        region: dict[str, object] = {
            "id": names[span],
            "from_name": _FROM,
            "to_name": _TO,
            "type": "labels",
            "value": value,
        }
        regions.append(region if span.score is None else {**region, "score": span.score})
    return regions


def _link(relation: Relation, names: dict[Span, str]) -> dict[str, object]:
    ends = {"from_id": names[relation.head], "to_id": names[relation.tail]}
    return {"type": "relation", "direction": "right", "labels": [relation.label], **ends}

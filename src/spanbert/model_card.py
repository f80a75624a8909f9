"""The README of a model folder: what it does, how good it was measured to be, how to use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .tasks import ANNOTATED

if TYPE_CHECKING:
    from .bundle import Bundle

_RIGHT = {
    "relations:exact-set": "relations with exact arguments, direction and label",
    "answers:exact-text": "answers that say what a gold one does",
    "mentions:exact-set": "exact mentions of clusters",
}


def model_card(bundle: Bundle) -> str:
    """Markdown with the front matter that model hubs read."""
    facts = bundle.facts
    about, added = facts.get("about", {}), facts.get("added", {})
    labels = [label for task in bundle.tasks.values() for label in task.settings.labels]
    lines = [
        "---",
        "library_name: spanbert",
        *(f"pipeline_tag: {task.pipeline}" for task in list(bundle.tasks.values())[:1]),
        *([f"license: {about['license']}"] if "license" in about else []),
        "---",
        "",
        f"# {about.get('title', 'Span extraction model')}",
    ]
    for name in bundle.tasks:
        lines += _task(bundle, name)
    for name, point in bundle.operating_points.items():
        lines += ["", f"Operating point **{name}**: {point.requirement}."]
    if base := facts.get("base_model"):
        line = f"Base model: {base.get('name')}. Its licence applies to these weights as well."
        lines += ["", "Trained from random weights." if base.get("new_weights") else line]
    if report := facts.get("report"):
        lines += ["", "## Measured", "", *_table(report, _chosen(facts, fitted=not added.keys() >= set(bundle.fitted)))]
    if training := facts.get("training"):
        lines += ["", "## Training", "", *(f"- {key}: {value}" for key, value in training.items())]
    for name, own in added.items():
        lines += ["", f"## Added over the frozen encoder: {name}", ""]
        chosen = _chosen(own, fitted=name in bundle.fitted)
        lines += [*_table(own["report"], chosen), ""] if own.get("report") else []
        lines += [f"- {key}: {value}" for key, value in own.get("training", {}).items()]
    for title, text in about.get("sections", {}).items():
        lines += ["", f"## {title}", "", text]
    name = about.get("title", "this folder")
    examples = dict.fromkeys(task.example for task in bundle.tasks.values())
    use = [f'model = SpanModel.from_pretrained("{name}")', *examples]
    if not labels:  # an encoder, which finds nothing by itself
        use = [f'model = SpanModel.create("{name}", task="{ANNOTATED[0]}")  # then train it']
    lines += ["", "## Use", "", "```python", "from spanbert import SpanModel", "", *use, "```", ""]
    return "\n".join(lines)


def _task(bundle: Bundle, name: str) -> list[str]:
    """What it finds, how it reads, and at which threshold it tells."""
    settings = bundle.tasks[name].settings
    lines = [
        "",
        f"Task **{name}**" + (f"; labels: {', '.join(settings.labels)}." if settings.labels else "."),
        f"Reads text of any length in windows of {settings.window} positions"
        + (f" that share {settings.overlap} pieces." if settings.overlap is not None else "."),
    ]
    decision = bundle.decisions[name]
    if settings.labels:
        lines.append(f"Returns spans with a probability of at least {decision.threshold:g} unless told otherwise.")
    if decision.outcomes:
        lines.append(f"Probabilities and threshold were fitted on {decision.outcomes.texts:,} held-out documents.")
    return lines


def _chosen(facts: dict[str, Any], *, fitted: bool) -> str:
    """What else the documents of the report decided."""
    held_out, calibrated = (facts.get("learnt", {}).get(kind) for kind in ("held_out", "calibrated"))
    if fitted and calibrated not in (None, held_out):
        return ", before threshold and probabilities were fitted on others"
    return ", the threshold and the probabilities" if fitted else ""


def _table(report: dict[str, Any], chosen: str) -> list[str]:
    """Precision, recall and F1 on the held-out documents, with the interval of F1; chosen: what these decided too."""
    if "perplexities" in report:
        values = ", ".join(f"{name} {value:.2f}" for name, value in report["perplexities"].items())
        return [f"Perplexity of hidden pieces in {report['documents']} held-out documents: {values}."]
    lines = [
        f"On {report['documents']} held-out documents that also chose the checkpoint{chosen}; {_counted(report)}, "
        "95 % intervals by document bootstrap.",
        "",
        "| label | precision | recall | F1 | interval | gold |",
        "|---|--:|--:|--:|:-:|--:|",
    ]
    rows = {"**all**": report["micro"], **report["per_label"]}
    for label, row in rows.items():
        interval = row.get("f1_interval")
        shown = "–" if interval is None else f"{interval[0]:.3f} – {interval[1]:.3f}"
        cells = [label, *(f"{row[key]:.3f}" for key in ("precision", "recall", "f1")), shown, str(row["support"])]
        lines.append("| " + " | ".join(cells) + " |")
    if "headline" in report:
        lines += ["", ", ".join(f"{name} {value:.1f}" for name, value in report["headline"].items()) + "."]
    lines += ["", f"{report['unreachable']} gold spans cannot be reached in this configuration; they count as misses."]
    return lines


def _counted(report: dict[str, Any]) -> str:
    """What counts as right, from the signature of the report."""
    what = str(report.get("signature", "")).partition("|")[0]
    return _RIGHT.get(what, "exact boundaries and label")

"""F1 of spans of units by exact words and label, for the rivals' environments, which have none of this package."""


def f1(units, found):
    gold = {(n, *span) for n, unit in enumerate(units) for span in unit["spans"]}
    predicted = {(n, *span) for n, spans in enumerate(found) for span in spans}
    return 2 * len(gold & predicted) / max(1, len(gold) + len(predicted))

"""Scores of predictions against gold, with intervals: pure functions of documents and counts."""

"""Predictions against gold, with intervals."""

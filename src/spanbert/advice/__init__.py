"""Advice on annotated documents before training: pure analysis, without torch."""

"""Pretrained encoders: loading them safely, and running them on packed batches. Needs torch."""

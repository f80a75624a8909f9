"""Pre-training on text without annotations: the corpus on disk, the vocabulary, and the door to the training loop."""

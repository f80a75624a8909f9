"""The small trainable modules on top of the encoder. They see vectors and piece indices, never text or label names."""

"""Find spans in text, and say how sure it is."""

__version__ = "0.1.0"

"""spaCy components that learn from few labels and much raw text."""

from typing import Any

__all__ = ["__version__", "train"]


def __getattr__(name: str) -> Any:
    # lazily, because every spaCy process imports this package through its entry points
    if name == "train":
        from .training.notebook import train

        return train
    if name == "__version__":
        from importlib.metadata import version

        return version("spacy-semivae")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

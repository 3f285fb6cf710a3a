"""A page about a trained pipeline: how it learned, how good and how sure it is."""

from .make import make_report

__all__ = ["make_report"]

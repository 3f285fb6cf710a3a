"""What tests of the layers share."""

import pickle

import pytest
import torch


@pytest.fixture
def _no_pickle(monkeypatch):
    """Nothing may be pickled."""

    def refuse(*args, **kwargs):
        raise AssertionError("a pickle was written or read")

    for module in (torch, pickle):
        for name in {"save", "load", "loads", "dump", "dumps", "Pickler", "Unpickler"}:
            if hasattr(module, name):
                monkeypatch.setattr(module, name, refuse)

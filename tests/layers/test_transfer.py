"""Arrays and tensors on their way to the device."""

import numpy
import pytest
import torch

from spacy_semivae.layers.transfer import send


@pytest.mark.parametrize("shape", [(0,), (3,), (0, 2), (2, 3)])
@pytest.mark.parametrize("make", [numpy.asarray, torch.as_tensor])
def test_values_on_the_cpu_share_their_memory(make, shape):
    values = make(numpy.ones(shape, dtype="int64"))
    found = send(values, torch.device("cpu"))
    assert (tuple(found.shape), found.dtype) == (shape, torch.int64)
    values[...] = 7
    assert found.tolist() == values.tolist()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("size", [0, 1000])
def test_values_reach_a_gpu(size):
    values = numpy.arange(size)
    found = send(values, torch.device("cuda"))
    assert found.is_cuda
    assert found.tolist() == values.tolist()

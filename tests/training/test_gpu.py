"""A GPU measures what a CPU measures."""

import pytest
import torch
from spacy.util import load_model_from_config
from thinc.api import require_cpu, require_gpu
from thinc.compat import has_cupy_gpu

from spacy_semivae.training.initialize import initialize_nlp

COMPONENTS = ["vsl_tagger", "vsl_ner", "crf_vae_tagger", "crf_vae_ner", "ssvae_textcat"]
TEXTS = ["A short text of some words .", "Another one", "", "and a third , a longer one"]

pytestmark = pytest.mark.skipif(
    not (torch.cuda.is_available() and has_cupy_gpu), reason="needs a GPU and CuPy"
)


@pytest.fixture
def gpu():
    require_gpu(0)
    yield
    require_cpu()


@pytest.mark.parametrize("component", COMPONENTS)
def test_terms_and_predictions_are_those_of_the_cpu(component, make_tiny, gpu):
    require_cpu()
    nlp, _ = initialize_nlp(make_tiny(component))
    require_gpu(0)
    other = load_model_from_config(nlp.config.interpolate(), auto_fill=True)
    other.from_bytes(nlp.to_bytes())
    one, two = nlp.get_pipe(component), other.get_pipe(component)
    assert next(iter(two.model.shims[0].module.parameters())).is_cuda
    expected = one.evaluate_terms([nlp.make_doc(text) for text in TEXTS])
    found = two.evaluate_terms([other.make_doc(text) for text in TEXTS])
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-4)
    predicted = [[doc.to_json() for doc in pipeline.pipe(TEXTS)] for pipeline in (nlp, other)]
    assert predicted[0] == predicted[1]

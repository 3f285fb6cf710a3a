"""A step on another device than the CPU: nothing stays behind, and little is read back."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import srsly

SCRIPT = Path(__file__).with_name("second_device.py")
GENERATOR = {"@architectures": "semivae.MTGenerator.v1", "width": 8, "heads": 2, "hidden": 8}
JOBS = {
    "vsl_tagger": ["vsl_tagger", {}],
    "vsl_ner": ["vsl_ner", {"variant": "flat"}],
    "crf_vae_tagger": ["crf_vae_tagger", {"generator": {**GENERATOR, "layers": 1}}],
    "ae_exact": [
        "crf_vae_tagger",
        {"generator": {"@architectures": "semivae.FactoredGenerator.v1"}},
    ],
    "crf_vae_ner": ["crf_vae_ner", {"generator": None, "tagger_layers": 1, "tagger_heads": 2}],
    "exact": ["ssvae_textcat", {"decoder": "clstm2"}],
    "s1": ["ssvae_textcat", {"marginal": "sample", "samples": 1, "baseline": "length"}],
    "s2": ["ssvae_textcat", {"decoder": "clstm1", "marginal": "sample", "baseline": "mean"}],
}
TERMS = {
    "layers/terms.py run_objective tolist",
    "layers/shim.py clip_gradients _local_scalar_dense",
}
# Thinc's side of an encoder is NumPy's here, and CuPy's on a GPU
ENCODER = {"layers/char_word.py forward copy", "layers/terms.py backprop copy"}
UNITS = "layers/ssvae.py measure tolist"
RECURSION = "modules/crf.py _divide _local_scalar_dense"
SHARES = {"layers/crf_vae.py <dictcomp> _local_scalar_dense"} | {
    "modules/viterbi.py viterbi _local_scalar_dense"
}
REJECTED = {
    "modules/rejection.py reject _unique2",
    "modules/rejection.py reject nonzero",
    "modules/rejection.py leaving nonzero",
    "modules/crf.py span_probability _local_scalar_dense",
}


@pytest.fixture(scope="module")
def steps():
    """A step of every job, on the CPU and on the other device, in a process of its own."""
    registration = pytest.importorskip("torch.utils.backend_registration")
    if not hasattr(registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip("needs a PyTorch in which Python can be a device")
    path = os.pathsep.join([str(SCRIPT.parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, SCRIPT, srsly.json_dumps(JOBS)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return srsly.json_loads(done.stdout)


@pytest.mark.parametrize("job", JOBS)
def test_losses_and_gradients_are_those_of_the_cpu(steps, job):
    assert steps[job]["losses"] == pytest.approx(steps[job]["expected"], rel=1e-4)
    assert steps[job]["losses"]["norm"] > 0.1


@pytest.mark.parametrize("job", JOBS)
def test_what_is_read_back(steps, job):
    reads = steps[job]["reads"]
    expected = TERMS | ({UNITS} if JOBS[job][0] == "ssvae_textcat" else ENCODER)
    if JOBS[job][0].startswith("crf"):
        expected = expected | {RECURSION}
        assert reads[RECURSION] <= 8  # one a distribution
    if job == "crf_vae_ner":
        expected = expected | SHARES | REJECTED
    assert set(reads) == expected
    assert all(reads[name] == 1 for name in TERMS)

"""A training step through spaCy beside plain PyTorch: the same modules on the same tensors.

    python benchmarks/speed_step.py --gpu-id 0 --output benchmarks/results/speed-step-gpu.jsonl
    OMP_NUM_THREADS=1 python benchmarks/speed_step.py --size small

Plain PyTorch calls the modules with what they were given in a step and takes a step of
`torch.optim.Adam`: no Docs, no encoding of words, no checks, no Thinc. What a step takes longer
than that is this package's share. Sizes: `paper` has the papers' widths, batches and vocabularies
(CRF-VAE: MT, 73 tags, an encoder as wide as RoBERTa; SSVAE-II: 400 words a text), `small` fits any
machine. Texts are made up. On a GPU also the share of the time in which it computes, and memory.
"""

import argparse
import platform
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import spacy
import srsly
import torch
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from ssvae_models import make_docs
from thinc.api import Adam, fix_random_seed, require_gpu
from timing import median_ratio, time_in_turn
from torch import Tensor, nn

from spacy_semivae.layers.shim import TorchShim
from spacy_semivae.modules.recurrent import CharWordBiGRU

ENCODER = "semivae.CharWordBiGRU.v1"
MT = {"@architectures": "semivae.MTGenerator.v1"}
# component, settings of its model, labelled and raw Docs of a batch, classes, words a text at most
SIZES: dict[str, dict[str, tuple[str, dict[str, Any], int, int, int, int]]] = {
    "paper": {
        "vsl": ("vsl_tagger", {}, 10, 10, 25, 40),
        "crf": (
            "crf_vae_ner",
            {"max_targets": 50257, "generator": MT}
            | {"tok2vec": {"@architectures": ENCODER, "hidden": 384, "width": 300}},
            32,
            32,
            18,
            40,
        ),
        "ssvae": (
            "ssvae_textcat",
            {"width": 300, "hidden": 512, "max_words": 20000, "max_length": 400},
            16,
            32,
            2,
            400,
        ),
    },
    "small": {
        "vsl": ("vsl_tagger", {}, 10, 10, 12, 40),
        "crf": ("crf_vae_ner", {"max_targets": 5000, "generator": MT}, 16, 16, 4, 40),
        "ssvae": ("ssvae_textcat", {"hidden": 128, "max_words": 5000}, 16, 32, 4, 60),
    },
}


def annotate(doc: Doc, classes: int, rng: random.Random) -> Doc:
    """Give a Doc tags, an entity now and then, and a class; they say nothing of the words."""
    known = Doc(doc.vocab, [t.text for t in doc], tags=[f"T{rng.randrange(classes)}" for _ in doc])
    starts = range(0, len(doc) - 2, 8)
    known.ents = [Span(known, i, i + 2, label=f"E{rng.randrange(classes)}") for i in starts]
    label = rng.randrange(classes)
    known.cats = {f"C{i}": float(i == label) for i in range(classes)}
    return known


def build(name: str, size: str, texts: int) -> tuple[Language, Any, list[Example]]:
    """Build a pipeline; give it, its optimizer and a batch."""
    factory, model, labeled, raw, classes, length = SIZES[size][name]
    fix_random_seed(0)
    rng = random.Random(0)
    docs = make_docs(None, texts)
    joined = [t.text for doc in docs for t in doc]
    if length > 100:  # whole reviews
        docs = [Doc(docs[0].vocab, joined[i : i + length]) for i in range(0, len(joined), length)]
    docs = [Doc(doc.vocab, [t.text for t in doc[:length]]) for doc in docs]
    gold = [annotate(doc, classes, rng) for doc in docs[: max(labeled, 4 * classes)]]
    nlp = spacy.blank("en")
    nlp.add_pipe(factory, config={"model": model})
    examples = [Example(Doc(nlp.vocab, [t.text for t in doc]), doc) for doc in [*gold, *docs]]
    sgd = nlp.initialize(lambda: examples, sgd=Adam(0.001, grad_clip=0.0, use_averages=False))
    return nlp, sgd, [*examples[:labeled], *examples[len(gold) : len(gold) + raw]]


class Replay:
    """Calls the modules of a component again with what they were given in one update.

    nlp (Language): A pipeline of one component.
    batch (Sequence[Example]): The batch.
    """

    def __init__(self, nlp: Language, batch: Sequence[Example]) -> None:
        ((_, pipe),) = nlp.pipeline
        self.calls: list[tuple[nn.Module, tuple[Any, ...], dict[str, Any]]] = []
        shims = [shim for node in pipe.model.walk() for shim in node.shims]
        modules = [shim.module for shim in shims if isinstance(shim, TorchShim)]
        hooks = [m.register_forward_pre_hook(self._note, with_kwargs=True) for m in modules]
        self.spelled: tuple[Any, ...] = ()
        spellers = [module for module in modules if isinstance(module, CharWordBiGRU)]
        for module in spellers:
            module.spell = partial(self._spell, module)  # type: ignore[method-assign]
        nlp.update(batch, sgd=False, drop=0.1)
        for hook in hooks:
            hook.remove()
        for module in spellers:
            del module.spell
        self.weights = pipe.weights()
        params = [p for module in modules for p in module.parameters()]
        self.optimizer = torch.optim.Adam(params, lr=0.001, fused=params[0].is_cuda)
        self.optimizer.zero_grad(set_to_none=True)

    def _note(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.calls.append((module, args, kwargs))

    def _spell(self, module: CharWordBiGRU, *args: Any) -> Tensor:
        self.spelled = args
        return CharWordBiGRU.spell(module, *args)

    def __call__(self) -> None:
        """Take a step of the same update."""
        found: Any = None
        for module, args, kwargs in self.calls:
            if isinstance(module, CharWordBiGRU):
                kwargs = {**kwargs, "spelling": module.spell(*self.spelled)}
            if isinstance(found, Tensor):
                args = (found, *args[1:])
            found = module(*args, **kwargs)
        terms = [self.weights[name] * term for name, term in found.terms.items()]
        torch.stack(terms).sum().backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def measure(name: str, size: str, rounds: int, texts: int, device: str) -> dict[str, Any]:
    """Time a component's step in both ways."""
    nlp, sgd, batch = build(name, size, texts)
    words = sum(len(eg.predicted) for eg in batch)

    def step() -> None:
        nlp.update(batch, sgd=sgd, drop=0.1)

    step()
    plain = Replay(nlp, batch)
    times = time_in_turn({"step": step, "plain": plain}, rounds=rounds, warm=1, device=device)
    row = {
        "model": name,
        "size": size,
        "device": torch.cuda.get_device_name() if device == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
        "words": words,
        "step_ms": round(median(times["step"]), 2),
        "plain_ms": round(median(times["plain"]), 2),
        "words_per_s": round(1000 * words / median(times["step"])),
        "step_of_plain": round(median_ratio(times["step"], times["plain"]), 2),
    }
    return row | (watch_gpu(step, 5) if device == "cuda" else {})


def watch_gpu(step: Callable[[], None], steps: int) -> dict[str, float]:
    """Give the share of the time in which the GPU computes, and its peak memory."""
    torch.cuda.reset_peak_memory_stats()
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        wall = 0.0
        for _ in range(steps):
            wall += time_in_turn({"step": step}, rounds=1, warm=0, device="cuda")["step"][0]
    busy = sum(event.self_device_time_total for event in profile.key_averages()) / 1000
    peak = torch.cuda.max_memory_allocated() / 2**20
    return {"busy": round(busy / wall, 3), "peak_mb": round(peak)}


def main() -> None:
    """Measure the three models."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--gpu-id", type=int, default=-1)
    parser.add_argument("--size", choices=SIZES, default="paper")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--output", type=Path, help="JSON lines")
    args = parser.parse_args()
    if args.gpu_id >= 0:
        require_gpu(args.gpu_id)
    device = "cuda" if args.gpu_id >= 0 else "cpu"
    rows = []
    for name in SIZES[args.size]:
        rows.append(measure(name, args.size, args.rounds, args.texts, device))
        print(srsly.json_dumps(rows[-1]), flush=True)
    if args.output:
        srsly.write_jsonl(args.output, rows)


if __name__ == "__main__":
    main()

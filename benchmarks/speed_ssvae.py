"""What training and prediction of `ssvae_textcat` cost, in time and memory.

    OMP_NUM_THREADS=1 python benchmarks/speed_ssvae.py              # one thread
    python benchmarks/speed_ssvae.py --threads 2 --data FILE.jsonl  # two, other texts
    python benchmarks/speed_ssvae.py --device cuda --parts document memory decoder
    python benchmarks/speed_ssvae.py --quick                        # tiny, nothing is judged

Texts are made up, with the lengths of AG's News; `--data` reads raw ones. Prints JSON lines:
medians over rounds in which all that is compared is run in turn, ratios round by round.

    document    the loss and its gradients for one raw text, by classes and labels drawn
    epoch       once through the raw texts as in training, with 16 labelled Docs beside 32 raw ones;
                one run each
    memory      the most that the loss and its gradients take, by how the vocabulary is summed over,
                each in a process of its own
    decoder     CLSTM-II beside CLSTM-I, forward and backward
    prediction  texts a second beside spaCy's `textcat`, tokens given

Exits 1 where a bar is missed. On a GPU times are CUDA events', `decoder` has no bar, and `epoch`
and `prediction` need CuPy, as spaCy does.
"""

import argparse
import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import spacy
import srsly
import torch
from memory import peak_bytes
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import minibatch
from ssvae_models import (
    MARGINALS,
    WIDTH,
    WIDTH_Y,
    build_module,
    build_pipeline,
    make_docs,
    number_words,
    run_loss,
)
from timing import median_ratio, milliseconds, predict, time_in_turn
from torch import Tensor

from spacy_semivae.modules import text_decoder
from spacy_semivae.modules.conditional import ConditionalLSTM
from spacy_semivae.modules.cross_entropy import cross_entropy
from spacy_semivae.modules.text_words import END, Texts
from spacy_semivae.training.notebook import bare

Row = dict[str, Any]

LABELED, RAW = 16, 32  # Docs of an update
CLASS_BAR = 1.25  # times as long at most, drawing labels, with ten times the classes
MEMORY_BAR = 4.0  # times as much at least with all logits of the batch at once
DECODER_BAR = 1.5  # times as long at most as CLSTM-I


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    texts: int = 2000
    rounds: int = 7
    hidden: int = 128
    words: int = 5000
    classes: tuple[int, ...] = (2, 4, 20)
    memory_words: int = 20000
    memory_length: int = 400
    memory_texts: int = 8
    decoder_hidden: tuple[int, ...] = (128, 512)
    decoder_steps: int = 64


QUICK = Sizes(64, 1, 16, 200, (2, 20), 2000, 40, 4, (16,), 8)

SMALL_CNN = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "width": 96,
    "depth": 4,
    "embed_size": 2000,
    "window_size": 1,
    "maxout_pieces": 3,
    "subword_features": True,
    "pretrained_vectors": None,
}
STOCK: dict[str, dict[str, Any]] = {
    "bow": {
        "@architectures": "spacy.TextCatBOW.v3",
        "exclusive_classes": True,
        "length": 262144,
        "ngram_size": 1,
        "no_output_layer": False,
    },
    "cnn": {
        "@architectures": "spacy.TextCatReduce.v1",
        "tok2vec": SMALL_CNN,
        "exclusive_classes": True,
        "use_reduce_first": False,
        "use_reduce_last": False,
        "use_reduce_max": False,
        "use_reduce_mean": True,
    },
    "ensemble": {},  # the default
}


def measure_document(sizes: Sizes, docs: list[Doc], device: str) -> Iterator[Row]:
    """Time the loss by classes and labels drawn: ratios are to the fewest classes."""
    texts = number_words(docs, RAW, sizes.words, device)
    tasks: dict[str, Callable[[], Any]] = {}
    for classes in sizes.classes:
        for name in MARGINALS:
            module = build_module(
                sizes.hidden, words=sizes.words, classes=classes, marginal=name, device=device
            )
            tasks[f"{name} {classes}"] = partial(run_loss, module, texts)
    times = time_in_turn(tasks, rounds=sizes.rounds, device=device)
    for name in MARGINALS:
        for classes in sizes.classes:
            found = times[f"{name} {classes}"]
            ratio = median_ratio(found, times[f"{name} {sizes.classes[0]}"])
            row = {
                "marginal": name,
                "classes": classes,
                "words": int(texts.lengths.sum()),
                "ms_per_text": round(median(found) / len(texts.lengths), 3),
                "ratio": round(ratio, 2),
                "of_exact": round(median_ratio(found, times[f"exact {classes}"]), 2),
            }
            yield row | ({} if name == "exact" else judge(CLASS_BAR, ratio <= CLASS_BAR))


def measure_epoch(sizes: Sizes, docs: list[Doc], device: str) -> Iterator[Row]:
    """Time once through the raw texts, with all that an update does."""
    if device == "cuda":
        spacy.require_gpu()
    times: dict[str, float] = {}
    for name, settings in MARGINALS.items():
        model = {"hidden": sizes.hidden, "max_words": sizes.words, **settings}
        nlp, sgd, labeled = build_pipeline("ssvae_textcat", model, docs, classes=4)
        raw = [Example(bare(nlp, doc), bare(nlp, doc)) for doc in docs]
        rng = random.Random(0)
        batches = [[*rng.sample(labeled, LABELED), *some] for some in minibatch(raw, RAW)]
        nlp.update(batches[0], sgd=sgd)

        def run(nlp: Language = nlp, sgd: Any = sgd, batches: Any = batches) -> None:
            for batch in batches:
                nlp.update(batch, sgd=sgd)

        times[name] = milliseconds(run, device)
        yield {
            "marginal": name,
            "classes": 4,
            "raw_texts": len(raw),
            "updates": len(batches),
            "seconds": round(times[name] / 1000, 2),
            "raw_texts_per_s": round(1000 * len(raw) / times[name], 1),
            "of_exact": round(times[name] / times["exact"], 2),
        }


def measure_memory(sizes: Sizes, docs: list[Doc], device: str) -> Iterator[Row]:
    """Measure the peak by how the vocabulary is summed over: ratios are to the package's way."""
    peaks: dict[str, float] = {}
    for name in VOCABULARIES:
        threads = torch.get_num_threads()
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            peaks[name] = pool.submit(find_peak, name, sizes, threads, device).result()
        ratio = peaks[name] / peaks["chunked"]
        row = {
            "vocabulary": name,
            "words": sizes.memory_words,
            "texts": sizes.memory_texts,
            "length": sizes.memory_length,
            "classes": 4,
            "peak_mb": round(peaks[name] / 1e6, 1),
            "ratio": round(ratio, 2),
        }
        yield row | ({} if name == "chunked" else judge(MEMORY_BAR, ratio >= MEMORY_BAR))


def one_block(X: Tensor, W: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Sum over the vocabulary in the package's way, but for all words of the batch at once."""
    return cross_entropy(X, W, targets, rows=2 * len(X), weights=weights)


def pytorch(X: Tensor, W: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Sum over the vocabulary as PyTorch does, which the weights do not help."""
    return torch.nn.functional.cross_entropy(X @ W.T, targets, reduction="none")


VOCABULARIES = {"chunked": cross_entropy, "one_block": one_block, "pytorch": pytorch}


def find_peak(name: str, sizes: Sizes, threads: int, device: str) -> float:
    """RETURNS (float): Bytes that the loss takes at most; the process should do nothing else."""
    torch.set_num_threads(threads)
    module = build_module(
        sizes.hidden, words=sizes.memory_words, classes=4, marginal="exact", device=device
    )
    size = (sizes.memory_texts, sizes.memory_length)
    words = torch.randint(END + 1, sizes.memory_words, size).to(device)
    texts = Texts(words.flatten(), torch.full(size[:1], size[1]))
    with patch.object(text_decoder, "cross_entropy", VOCABULARIES[name]):
        run_loss(module, Texts(words[:2, :4].flatten(), torch.full((2,), 4)))  # loads libraries
        if device == "cpu":
            return process_peak(partial(run_loss, module, texts))
        return peak_bytes(partial(run_loss, module, texts), device)


def process_peak(function: Callable[[], Any]) -> float:
    """Measure by how many bytes the process grows at most, as Linux counts them."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what it holds
    held = read_peak()
    function()
    return read_peak() - held


def read_peak() -> float:
    """RETURNS (float): The highest resident size of the process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (found,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return 1024.0 * int(found)


def measure_decoder(sizes: Sizes, docs: list[Doc], device: str) -> Iterator[Row]:
    """Time CLSTM-II beside CLSTM-I."""
    steps = sizes.decoder_steps
    mixed = torch.randint(steps // 4, steps + 1, (RAW,), generator=torch.Generator().manual_seed(0))
    for hidden in sizes.decoder_hidden:
        for name, lengths in (("equal", torch.full((RAW,), steps)), ("mixed", mixed)):
            tasks = {
                variant: partial(run_decoder, *make_decoder(variant, hidden, lengths, device))
                for variant in ("clstm1", "clstm2")
            }
            times = time_in_turn(tasks, rounds=2 * sizes.rounds + 1, warm=3, device=device)
            ratio = median_ratio(times["clstm2"], times["clstm1"])
            row = {"hidden": hidden, "lengths": name, "words": int(lengths.sum())}
            row |= {f"{key}_ms": round(median(x), 2) for key, x in times.items()}
            row["ratio"] = round(ratio, 2)
            yield row | (judge(DECODER_BAR, ratio <= DECODER_BAR) if device == "cpu" else {})


def make_decoder(
    variant: str, hidden: int, lengths: Tensor, device: str
) -> tuple[ConditionalLSTM, list[Tensor], Tensor]:
    """Build a decoder, its inputs, which take gradients, and their lengths."""
    torch.manual_seed(0)
    lstm = ConditionalLSTM(variant=variant, nI=WIDTH, nY=WIDTH_Y, nH=hidden).to(device)
    shapes = ((int(lengths.sum()), WIDTH), (len(lengths), hidden), (len(lengths), WIDTH_Y))
    return lstm, [torch.randn(s, device=device).requires_grad_() for s in shapes], lengths


def run_decoder(lstm: ConditionalLSTM, inputs: list[Tensor], lengths: Tensor) -> None:
    """Run forward and backward."""
    X, h, condition = inputs
    states = lstm(X, lengths, h, condition)
    torch.autograd.grad(states, [*inputs, *lstm.parameters()], states.detach())


def measure_prediction(sizes: Sizes, docs: list[Doc], device: str) -> Iterator[Row]:
    """Compare texts a second."""
    if device == "cuda":
        spacy.require_gpu()
    model = {"hidden": sizes.hidden, "max_words": sizes.words}
    ours, *_ = build_pipeline("ssvae_textcat", model, docs, classes=4)
    for name, settings in STOCK.items():
        stock, *_ = build_pipeline("textcat", settings, docs, classes=4)
        tasks = {"ours": partial(predict, ours, docs), "stock": partial(predict, stock, docs)}
        times = time_in_turn(tasks, rounds=sizes.rounds, device=device)
        speeds = {k: round(1000 * len(docs) / median(x)) for k, x in times.items()}
        yield {
            "beside": name,
            "texts": len(docs),
            **{f"{key}_texts_per_s": speed for key, speed in speeds.items()},
            "ratio": round(median_ratio(times["stock"], times["ours"]), 2),
        }


def judge(bar: float, ok: bool) -> Row:
    """Give a bar and whether it is met."""
    return {"bar": bar, "ok": ok}


PARTS = {
    "document": measure_document,
    "epoch": measure_epoch,
    "memory": measure_memory,
    "decoder": measure_decoder,
    "prediction": measure_prediction,
}


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="raw texts: .jsonl, .txt or .spacy")
    parser.add_argument("--texts", type=int, default=Sizes.texts)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, no bars")
    parser.add_argument("--output", type=Path, help="write the rows as JSON lines")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    sizes = QUICK if args.quick else replace(Sizes(), texts=args.texts)
    docs = make_docs(args.data, sizes.texts)
    head = {"threads": args.threads, "device": args.device}
    rows = []
    for part in args.parts:
        for row in PARTS[part](sizes, docs, args.device):
            rows.append({"what": part, **head, **row})
            if args.quick:
                rows[-1].pop("ok", None)
            print(srsly.json_dumps(rows[-1]), flush=True)
    if args.output:
        srsly.write_jsonl(args.output, rows)
    sys.exit(not all(row.get("ok", True) for row in rows))


if __name__ == "__main__":
    main()

"""The linear-chain CRF beside pytorch-crf and torch-struct: loss, decoding and memory, in one run.

    pip install pytorch-crf torch-struct
    python benchmarks/speed_crf.py                 # one thread
    python benchmarks/speed_crf.py --device cuda   # no bars

Random scores of standard deviation 1; documents of N / 2 to N tokens. The libraries must agree on
the log-likelihoods, their gradients and the best paths' scores before they are timed, in turn.
Prints JSON lines: medians over rounds of warm calls, ratios theirs / ours round by round. Exits 1
where a bar is missed (CPU only). Ours includes its check for lost digits; decoding ends in lists
of tags.
"""

import argparse
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import srsly
import torch
from memory import peak_bytes
from timing import median_ratio, time_in_turn
from torch import Tensor

from spacy_semivae.modules.chain import length_mask
from spacy_semivae.modules.crf import LinearChainCRF

try:
    import torch_struct
    from torchcrf import CRF
except ImportError as error:
    sys.exit(f"{error}; install both peers: pip install pytorch-crf torch-struct")

SHAPES = ((32, 40, 17), (32, 40, 73), (128, 40, 73), (8, 400, 73))  # B, N, C
# How many times faster than pytorch-crf by task and tags, and than torch-struct.
BARS = {("loss", 17): 3.5, ("loss", 73): 8.0, ("decode", 17): 2.5, ("decode", 73): 2.5}
STRUCT_BARS = {"loss": 100.0}
STRUCT_BYTES = 2e9  # more than this is left out
SCALES = (1.0, 5.0, 10.0, 20.0)  # of the scores, for the share of documents computed in log space
WARM = 3  # calls before a timed one: what the other left in caches and allocator is not its own
TOLERANCE = {"atol": 1e-3, "rtol": 1e-5}  # nats: float32 sums of hundreds of tokens


@dataclass(frozen=True)
class Problem:
    """A batch: scores, which take gradients, and tags."""

    emissions: Tensor  # (B, N, C)
    ends: dict[str, Tensor]  # start (C,), pair (C, C), end (C,)
    lengths: Tensor  # (B,)
    tags: Tensor  # (B, N)

    @property
    def leaves(self) -> list[Tensor]:
        """The scores that take gradients."""
        return [self.emissions, *self.ends.values()]


def draw(shape: tuple[int, int, int], device: str, scale: float = 1.0) -> Problem:
    """Draw a random batch, the same one for the same shape."""
    generator = torch.Generator().manual_seed(0)
    docs, steps, tags = shape

    def scores(*size: int) -> Tensor:
        values = torch.randn(size, generator=generator) * scale
        return values.to(device).requires_grad_()

    ends = {"start": scores(tags), "pair": scores(tags, tags), "end": scores(tags)}
    lengths = torch.randint(steps // 2, steps + 1, (docs,), generator=generator)
    lengths[0] = steps
    gold = torch.randint(tags, (docs, steps), generator=generator)
    return Problem(scores(*shape), ends, lengths.to(device), gold.to(device))


class Contestant(ABC):
    """A library's CRF of a problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.leaves = problem, problem.leaves

    @abstractmethod
    def crf(self) -> Any:
        """RETURNS (Any): The distribution, made anew: nothing is kept between rounds."""

    @abstractmethod
    def log_prob(self) -> Tensor:
        """RETURNS (Tensor): The log-likelihoods, (B,)."""

    @abstractmethod
    def decode(self) -> Any:
        """RETURNS (Any): The best paths."""

    def loss(self) -> tuple[Tensor, ...]:
        """RETURNS (tuple): Gradients of the negative log-likelihood, by forward and backward."""
        return torch.autograd.grad(-self.log_prob().sum(), self.leaves)


class Ours(Contestant):
    """`LinearChainCRF`."""

    def crf(self) -> LinearChainCRF:
        p = self.problem
        return LinearChainCRF(p.emissions, p.lengths, **p.ends)

    def log_prob(self) -> Tensor:
        return self.crf().log_prob(self.problem.tags)

    def entropy(self) -> tuple[Tensor, ...]:
        """Run forward and backward of the entropy."""
        return torch.autograd.grad(self.crf().entropy().sum(), self.problem.leaves)

    def decode(self) -> list[list[int]]:
        with torch.no_grad():
            return self.crf().viterbi().tolist()


class PytorchCrf(Contestant):
    """`torchcrf.CRF` with the same scores."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.mask = length_mask(problem.lengths, problem.tags.shape[1])
        crf = self.crf = CRF(problem.emissions.shape[2], batch_first=True)
        crf.start_transitions.data = problem.ends["start"].detach()
        crf.transitions.data = problem.ends["pair"].detach()
        crf.end_transitions.data = problem.ends["end"].detach()
        weights = [crf.start_transitions, crf.transitions, crf.end_transitions]
        self.leaves = [problem.emissions, *weights]

    def log_prob(self) -> Tensor:
        p = self.problem
        return self.crf(p.emissions, p.tags, self.mask, reduction="none")

    def decode(self) -> list[list[int]]:
        with torch.no_grad():
            return self.crf.decode(self.problem.emissions, self.mask)


class TorchStruct(Contestant):
    """`torch_struct.LinearChainCRF`; its scores are those of pairs, (B, N - 1, to, from)."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        tags = problem.emissions.shape[2]
        to_parts = torch_struct.LinearChain.to_parts
        parts = to_parts(problem.tags.cpu(), tags, lengths=problem.lengths.cpu())
        self.parts = parts.to(problem.tags.device)

    def crf(self) -> Any:
        p = self.problem
        steps = torch.arange(p.emissions.shape[1], device=p.lengths.device)
        last = (steps == p.lengths[:, None] - 1)[..., None]
        emissions = p.emissions + last * p.ends["end"]
        pairs = p.ends["pair"].T + emissions[:, 1:, :, None]
        first = (p.ends["start"] + emissions[:, 0])[:, None, None]
        pairs = torch.cat((pairs[:, :1] + first, pairs[:, 1:]), 1)
        return torch_struct.LinearChainCRF(pairs, lengths=p.lengths)

    def log_prob(self) -> Tensor:
        return self.crf().log_prob(self.parts)

    def decode(self) -> Tensor:
        """Find the best paths, as indicators of pairs: reading them off is not timed."""
        return self.crf().argmax


def struct_bytes(shape: tuple[int, int, int]) -> float:
    """Size what torch-struct keeps: sums of C x C x C for each product of its binary tree."""
    docs, steps, tags = shape
    return 4.0 * docs * ((1 << (steps - 2).bit_length()) - 1) * tags**3


def check(problem: Problem, ours: Ours, peers: dict[str, Any]) -> None:
    """Raise an AssertionError where the libraries disagree."""
    log_p, grads = ours.log_prob(), ours.loss()
    best = path_scores(problem, ours.decode())
    for name, peer in peers.items():
        say = partial("{}: {}".format, name)
        torch.testing.assert_close(log_p, peer.log_prob(), **TOLERANCE, msg=say)
        for a, b in zip(grads, peer.loss(), strict=True):
            torch.testing.assert_close(a, b, **TOLERANCE, msg=say)
        found = peer.decode()
        if isinstance(found, Tensor):
            theirs = peer.crf().max
        else:
            theirs = path_scores(problem, found)
        torch.testing.assert_close(best, theirs, **TOLERANCE, msg=say)


def path_scores(problem: Problem, paths: list[list[int]]) -> Tensor:
    """Add up the scores of paths, (B,)."""
    start, pair, end = (x.tolist() for x in problem.ends.values())
    scores = []
    for doc, length in enumerate(problem.lengths.tolist()):
        path, rows = paths[doc][:length], problem.emissions[doc].tolist()
        score = start[path[0]] + end[path[-1]] + sum(rows[i][y] for i, y in enumerate(path))
        scores.append(score + sum(pair[a][b] for a, b in pairwise(path)))
    return torch.tensor(scores, device=problem.emissions.device)


def compare(
    what: str, ours: Ours, peers: dict[str, Any], *, repeats: int, device: str
) -> dict[str, Any]:
    """Time one task of all libraries in turn; give the row."""
    run = getattr(ours, what)
    row: dict[str, Any] = {}
    for name, peer in peers.items() or [("", None)]:
        tasks = {"ours": run, **({name: getattr(peer, what)} if peer else {})}
        times = time_in_turn(tasks, rounds=repeats, warm=WARM, device=device)
        medians = {f"{key}_ms": round(median(x), 3) for key, x in times.items()}
        if peer:
            ratio = median_ratio(times[name], times["ours"])
            medians[f"{name}_ratio"] = round(ratio, 2)
        row = {**medians, **row}
    peak = peak_bytes(run, device)
    size = ours.problem.emissions.numel()
    return {**row, "peak_mb": round(peak / 1e6, 3), "bytes_per_score": round(peak / size, 1)}


def judge(row: dict[str, Any], what: str, tags: int) -> dict[str, Any]:
    """Hold a row against its bars."""
    bar = row["bar"] = BARS[what, tags]
    row["ok"] = row["pytorch_crf_ratio"] >= bar
    if "torch_struct_ratio" in row and what in STRUCT_BARS:
        row["torch_struct_bar"] = STRUCT_BARS[what]
        row["ok"] = row["ok"] and row["torch_struct_ratio"] >= STRUCT_BARS[what]
    return row


def measure(shape: tuple[int, int, int], *, repeats: int, device: str) -> list[dict[str, Any]]:
    """Measure one shape.

    shape (tuple[int, int, int]): Documents, tokens and tags.
    repeats (int): Rounds.
    device (str): "cpu" or "cuda".
    RETURNS (list[dict[str, Any]]): One row a task.
    """
    problem = draw(shape, device)
    ours, peers = Ours(problem), {"pytorch_crf": PytorchCrf(problem)}
    fits = struct_bytes(shape) <= STRUCT_BYTES
    if fits:
        peers["torch_struct"] = TorchStruct(problem)
    check(problem, ours, peers)  # and warm up
    rows = []
    for what in ("loss", "decode"):
        row = compare(what, ours, peers, repeats=repeats, device=device)
        if not fits:
            row["torch_struct"] = f"left out: keeps {struct_bytes(shape) / 1e9:.1f} GB"
        rows.append({"what": what, **(judge(row, what, shape[2]) if device == "cpu" else row)})
    rows.append({"what": "entropy", **compare("entropy", ours, {}, repeats=repeats, device=device)})
    rows.append({"what": "log_space_share", **log_space_shares(shape, device)})
    head = {"shape": list(shape), "device": device, "threads": torch.get_num_threads()}
    return [{**head, **row} for row in rows]


def log_space_shares(shape: tuple[int, int, int], device: str) -> dict[str, float]:
    """Give the share of documents computed in log space, by the deviation of all scores."""
    shares = {}
    for scale in SCALES:
        problem = draw(shape, device, scale)
        shares[f"scale_{scale:g}"] = round(Ours(problem).crf().log_space_share(), 3)
    return shares


def main() -> None:
    """Measure all shapes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--output", type=Path, help="write the rows as JSON lines")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.distributions.Distribution.set_default_validate_args(False)  # spare torch-struct those
    rows = []
    for shape in SHAPES:
        for row in measure(shape, repeats=args.repeats, device=args.device):
            print(srsly.json_dumps(row), flush=True)
            rows.append(row)
    if args.output:
        srsly.write_jsonl(args.output, rows)
    sys.exit(not all(row.get("ok", True) for row in rows))


if __name__ == "__main__":
    main()

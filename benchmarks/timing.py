"""Times of several things, taken in turn in one run."""

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import torch
from spacy.language import Language
from spacy.tokens import Doc


def milliseconds(function: Callable[[], Any], device: str = "cpu") -> float:
    """Time a call, by the device's own clock on a GPU."""
    if device == "cpu":
        begin = time.perf_counter()
        function()
        return (time.perf_counter() - begin) * 1000
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
    events[0].record()
    function()
    events[1].record()
    torch.cuda.synchronize()
    return events[0].elapsed_time(events[1])


def time_in_turn(
    tasks: Mapping[str, Callable[[], Any]], *, rounds: int, warm: int = 1, device: str = "cpu"
) -> dict[str, list[float]]:
    """Time each task once a round, so that what else the machine does falls on all of them.

    tasks (Mapping[str, Callable]): Tasks by name.
    rounds (int): Rounds.
    warm (int): Calls before a timed one: what others left in caches and allocator is not its own.
    device (str): "cpu" or "cuda".
    RETURNS (dict[str, list[float]]): Milliseconds of each round.
    """
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            for _ in range(warm):
                task()
            times[name].append(milliseconds(task, device))
    return times


def median_ratio(times: Sequence[float], base: Sequence[float]) -> float:
    """Compare two things round by round.

    times (Sequence[float]): Times of one.
    base (Sequence[float]): Times of the other.
    RETURNS (float): The median of times / base.
    """
    return median(a / b for a, b in zip(times, base, strict=True))


def predict(nlp: Language, docs: list[Doc]) -> None:
    """Annotate fresh copies of Docs."""
    for _ in nlp.pipe([Doc(nlp.vocab, [t.text for t in doc]) for doc in docs], batch_size=256):
        pass

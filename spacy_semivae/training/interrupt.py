"""Ctrl-C and SIGTERM end a run after the step in hand, so that what is saved is whole."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from signal import SIGINT, SIGTERM, Signals, getsignal
from signal import signal as handle
from types import FrameType

SIGNALS = (SIGINT, SIGTERM)


@dataclass
class Stop:
    """Whether somebody asked for the end."""

    signal: Signals | None = None


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Note the first signal instead of being stopped by it; the second one stops at once.

    Outside of the main thread, where signals cannot be handled, nothing is changed.

    YIELDS (Stop): Holds the signal once it has come.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: getsignal(number) for number in SIGNALS}

    def note(number: int, frame: FrameType | None) -> None:
        stop.signal = Signals(number)
        handle(number, before[Signals(number)])

    try:
        for number in SIGNALS:
            handle(number, note)
        yield stop
    finally:
        for number, handler in before.items():
            handle(number, handler)

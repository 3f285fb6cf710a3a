"""A worker thread that keeps items ready before they are asked for."""

import weakref
from collections.abc import Generator, Iterator
from itertools import islice
from queue import SimpleQueue
from threading import Event, Semaphore, Thread, current_thread
from typing import Any, Generic, TypeVar

ItemT = TypeVar("ItemT")

CHUNK = 32  # items handed over at once: each hand-over may switch threads
EXIT_SECONDS = 5.0  # how long the interpreter's exit waits for an item that is being made


class Prefetch(Iterator[ItemT], Generic[ItemT]):
    """Iterate over items that a thread makes ahead, in their order.

    The thread ends with the items, at their first error, which is raised here as it is, when
    `close` is called, when this object is collected, and at exit.

    items (Generator): Makes the items; from now on only the thread may use it.
    size (int): Items to keep ready, besides those of the hand-over itself.
    """

    def __init__(self, items: Generator[ItemT, None, None], size: int) -> None:
        chunk = min(CHUNK, max(size, 1))
        self._queue: SimpleQueue[tuple[list[ItemT], BaseException | None]] = SimpleQueue()
        self._slots = Semaphore(max(size // chunk, 1))
        self._ready: list[ItemT] = []
        self._error: BaseException | None = None
        stop = Event()
        # Neither thread nor finalizer may hold this object, or it would never be collected.
        thread = Thread(
            target=_work, args=(items, chunk, self._queue, self._slots, stop), daemon=True
        )
        self._finalizer = weakref.finalize(self, _stop, thread, stop, self._slots)
        thread.start()

    def __next__(self) -> ItemT:
        """RETURNS (ItemT): The next item; raises what making it has raised."""
        while not self._ready:
            if self._error is not None:
                raise self._error
            if not self._finalizer.alive:
                raise StopIteration
            chunk, self._error = self._queue.get()
            self._slots.release()
            self._ready = chunk[::-1]
        return self._ready.pop()

    def close(self) -> None:
        """End the thread; items made ahead are lost."""
        self._ready = []
        self._finalizer()


def _work(
    items: Generator[Any, None, None],
    chunk: int,
    queue: "SimpleQueue[tuple[list[Any], BaseException | None]]",
    slots: Semaphore,
    stop: Event,
) -> None:
    error: BaseException | None = None
    while error is None:
        made: list[Any] = []
        try:
            for item in islice(items, chunk):
                made.append(item)
                if stop.is_set():
                    break
            if len(made) < chunk:
                error = StopIteration()
        except BaseException as caught:
            error = caught
        slots.acquire()
        if stop.is_set():
            break
        queue.put((made, error))
    items.close()


def _stop(thread: Thread, stop: Event, slots: Semaphore) -> None:
    stop.set()
    slots.release()
    if thread is not current_thread():
        thread.join(EXIT_SECONDS)

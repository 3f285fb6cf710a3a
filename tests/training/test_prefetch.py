"""The worker thread: order, errors, and its end."""

import gc
import subprocess
import sys
import threading
import time
from itertools import count, islice

import pytest

from spacy_semivae.training.prefetch import CHUNK, Prefetch


def numbers(n=None, *, closed=None, fail_at=None):
    try:
        for i in count() if n is None else range(n):
            if i == fail_at:
                raise LookupError(f"no item {i}")
            yield i
    finally:
        if closed is not None:
            closed.append(threading.current_thread())


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("size", [1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 1000])
@pytest.mark.parametrize("n", [0, 1, CHUNK, 3 * CHUNK + 1])
def test_items_keep_their_order(size, n):
    items = Prefetch(numbers(n), size)
    assert list(items) == list(range(n))
    assert list(items) == []


@pytest.mark.parametrize("fail_at", [0, 1, CHUNK, 2 * CHUNK + 5])
def test_an_error_comes_after_the_items_before_it(fail_at):
    items = Prefetch(numbers(fail_at=fail_at), 100)
    assert list(islice(items, fail_at)) == list(range(fail_at))
    for _ in range(2):
        with pytest.raises(LookupError, match=f"no item {fail_at}") as info:
            next(items)
    assert any(entry.name == "numbers" for entry in info.traceback)


@pytest.mark.parametrize("size", [1, 10, 100])
def test_only_so_many_items_are_made_ahead(size):
    made = []
    items = Prefetch((made.append(i) or i for i in count()), size)
    next(items)
    wait_for(lambda: len(made) >= size)
    time.sleep(0.1)
    assert len(made) <= size + 3 * min(size, CHUNK)
    items.close()


def test_items_are_made_while_none_is_asked_for():
    made = []
    items = Prefetch((made.append(threading.current_thread()) or i for i in count()), 64)
    wait_for(lambda: len(made) >= 64)
    assert next(items) == 0
    assert made[0] is not threading.current_thread()
    items.close()


@pytest.mark.parametrize("end", ["close", "collect", "error"])
@pytest.mark.parametrize("size", [1, 50])
def test_the_thread_ends(end, size):
    before, closed = threading.active_count(), []
    items = Prefetch(numbers(closed=closed, fail_at=200 if end == "error" else None), size)
    assert next(items) == 0
    assert threading.active_count() == before + 1
    if end == "close":
        items.close()
        items.close()
        assert list(items) == []
    elif end == "error":
        with pytest.raises(LookupError):
            list(items)
    del items
    gc.collect()
    wait_for(lambda: threading.active_count() == before)
    assert len(closed) == 1
    assert closed[0] is not threading.current_thread()


@pytest.mark.parametrize("ending", ["pass", "raise SystemExit(3)", "raise KeyError('x')"])
def test_the_interpreter_exits_with_a_full_queue(ending):
    code = (
        "import itertools, time\n"
        "from spacy_semivae.training.prefetch import Prefetch\n"
        "full = Prefetch((i for i in itertools.count()), 100)\n"
        "slow = Prefetch((time.sleep(0.2) for i in itertools.count()), 100)\n"
        f"next(full)\n{ending}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=120, capture_output=True, text=True)
    assert done.returncode == {"p": 0, "r": 3}[ending[0]] if "Key" not in ending else 1
    assert ("KeyError" in done.stderr) == ("Key" in ending)
    assert "Fatal" not in done.stderr

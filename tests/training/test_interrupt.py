"""Signals that end a run after the step in hand."""

import os
import threading
from signal import SIGINT, SIGTERM, default_int_handler, getsignal, signal

import pytest

from spacy_semivae.training.interrupt import stop_on_signals


@pytest.mark.parametrize("number", [SIGINT, SIGTERM])
def test_a_signal_is_noted(number):
    before = getsignal(number)
    with stop_on_signals() as stop:
        assert stop.signal is None
        os.kill(os.getpid(), number)
        assert stop.signal == number
    assert getsignal(number) is before


def test_the_second_one_stops_at_once():
    before = signal(SIGINT, default_int_handler)  # a job in the background ignores it
    with stop_on_signals():
        os.kill(os.getpid(), SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), SIGINT)
    assert signal(SIGINT, before) is default_int_handler


def test_another_thread_changes_nothing():
    found = []

    def run():
        with stop_on_signals() as stop:
            found.append((stop.signal, getsignal(SIGTERM)))

    before = getsignal(SIGTERM)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [(None, before)]

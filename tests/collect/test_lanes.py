"""Lanes: answers in the order of the questions, never far ahead of whoever listens, and an end when asked for."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event

from app.collect.lanes import in_order


def test_answers_come_in_order_whoever_is_done_first() -> None:
    second_is_done = Event()

    def first() -> int:
        assert second_is_done.wait(20)
        return 1

    def second() -> int:
        second_is_done.set()
        return 2

    with ThreadPoolExecutor(2) as lanes:
        assert list(in_order(lanes, [first, second, lambda: 3])) == [1, 2, 3]


def test_no_more_than_a_window_is_begun_ahead() -> None:
    begun: list[int] = []
    calls: list[Callable[[], None]] = [partial(begun.append, number) for number in range(20)]
    with ThreadPoolExecutor(1) as lanes:
        answers = in_order(lanes, calls, window=3)
        next(answers)
        answers.close()
    assert 1 <= len(begun) <= 3


def test_nothing_is_begun_once_it_is_over() -> None:
    begun: list[int] = []
    calls: list[Callable[[], None]] = [partial(begun.append, number) for number in range(20)]
    with ThreadPoolExecutor(1) as lanes:
        assert list(in_order(lanes, calls, lambda: True)) == []
    assert begun == []

"""Several things done at once, told of in the order in which they were asked for."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

WINDOW = 64

T = TypeVar("T")


def in_order(
    lanes: ThreadPoolExecutor,
    calls: Sequence[Callable[[], T]],
    is_over: Callable[[], bool] = lambda: False,
    window: int = WINDOW,
) -> Iterator[T]:
    """What each call returns, at most `window` ahead of whoever listens; none is begun any more once it is over."""
    waiting: deque[Future[T]] = deque()
    try:
        for call in calls:
            if is_over():
                return
            waiting.append(lanes.submit(call))
            if len(waiting) >= window:
                yield waiting.popleft().result()
        while waiting and not is_over():
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()

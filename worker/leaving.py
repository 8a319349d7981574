"""When to leave: the one question that every long piece of work asks often and cheaply."""

from collections.abc import Callable

from worker.context import RunContext
from worker.errors import Interrupted, Stopped


def checker(context: RunContext) -> Callable[[], None]:
    """Return what raises Stopped or Interrupted once the run should leave."""

    def check() -> None:
        if context.wants_stop():
            raise Stopped("The run was stopped.", "")
        if context.wants_interrupt():
            raise Interrupted("The worker is closing.", "The run goes on when a worker starts again.")

    return check

"""SIGINT and SIGTERM: a wish to stop, which a block notes or puts off to its end."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Notes the signal that comes in the block as `number`, 0 before; a second one has its usual effect.

    Signals are the main thread's: in another one nothing is noted.
    """

    def __init__(self) -> None:
        self.number = 0

    def __enter__(self) -> Interrupts:
        in_main = threading.current_thread() is threading.main_thread()
        self._before = {n: signal.signal(n, self._note) for n in SIGNALS if in_main}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, _: object) -> None:
        self.number = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def put_off() -> Iterator[None]:
    """Raises at the end of the block for a signal that came in it: C++ that calls Python may drop what that raises.

    Raises:
      KeyboardInterrupt: with the number of the signal.
    """
    with Interrupts() as interrupts:
        yield
    if interrupts.number:
        raise KeyboardInterrupt(interrupts.number)

"""Workers that meet before TensorFlow starts: its own wait has no end, and nothing can interrupt it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence

from adgm_tf.host import errors

GREETING = b"adgm_tf\n"
SECONDS_BETWEEN_TRIES = 0.2


def meet(addresses: Sequence[str], own: str, seconds: float) -> None:
    """Returns when every worker at `addresses`, host:port each, has been greeted by this one and has greeted it.

    Raises:
      LostWorker: some were not met in that many seconds.
    """
    others = [address for address in addresses if address != own]
    end = time.monotonic() + seconds
    with socket.create_server(("", _port(own)), reuse_port=True) as server:
        greeted_by: set[bytes] = set()
        done = threading.Event()
        listener = threading.Thread(target=_listen, args=(server, greeted_by, done), daemon=True)
        listener.start()
        missing = list(others)
        while (missing or len(greeted_by) < len(others)) and time.monotonic() < end:
            missing = [address for address in missing if not _greet(address, own)]
            time.sleep(SECONDS_BETWEEN_TRIES)
        done.set()
        listener.join()
    if missing or len(greeted_by) < len(others):
        raise errors.LostWorker(f"worker_timeout={seconds:g}: the other workers of TF_CONFIG were not met in that time"
                                + (f" ({', '.join(missing)})" if missing else ""))


def _listen(server: socket.socket, greeted_by: set[bytes], done: threading.Event) -> None:
    server.settimeout(SECONDS_BETWEEN_TRIES)
    while not done.is_set():
        try:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(1)
                said = connection.makefile("rb").readline()
                if said.startswith(GREETING.strip()):
                    connection.sendall(GREETING)
                    # The caller closes first, so that the port is free at once.
                    connection.recv(1)
                    greeted_by.add(said)
        except OSError:
            continue


def _greet(address: str, own: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        with socket.create_connection((host, _port(address)), timeout=1) as connection:
            connection.sendall(GREETING.strip() + b" " + own.encode() + b"\n")
            return connection.makefile("rb").readline() == GREETING
    except OSError:
        return False


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])

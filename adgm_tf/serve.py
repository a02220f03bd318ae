"""Serves an export over HTTP as TensorFlow Serving does: one process, no batching.

python -m adgm_tf.serve --export_dir=RUN/export
curl -d '{"instances": [...]}' http://127.0.0.1:8501/v1/models/adgm:predict
"""

from __future__ import annotations

import gc
import importlib.util
import socket

from absl import flags

from adgm_tf.host import cli, errors

_NEEDS = ("fastapi", "uvicorn")


def define_flags() -> None:
    """Defines the flags of this entry point."""
    flags.DEFINE_string("export_dir", None, "RUN/export, of which the last version is served, or RUN/export/<version>.")
    flags.DEFINE_string("model_name", "adgm", "The name in the address: /v1/models/<model_name>:predict.")
    flags.DEFINE_string("host", "127.0.0.1", "Address to listen on; 0.0.0.0 for all of this machine.")
    flags.DEFINE_integer("port", 8501, "Port to listen on; 0 for any that is free.", lower_bound=0, upper_bound=65_535)


def main() -> None:
    """Answers requests until it is stopped."""
    values = flags.FLAGS
    export_dir = cli.required("export_dir")
    if lacking := [name for name in _NEEDS if importlib.util.find_spec(name) is None]:
        raise errors.UserError(f"serve: needs {', '.join(lacking)}; pip install 'adgm_tf[serve]'")
    listening = _listening(values.host, values.port)
    with cli.quietly():
        import uvicorn

        from adgm_tf.runs import serving
    served = serving.Served(export_dir)
    application = serving.app(served, values.model_name)
    # The numbers of a large request set off collections, which need not look through TensorFlow each time.
    gc.collect()
    gc.freeze()
    port = listening.getsockname()[1]
    print(f"{values.model_name}, version {served.version}: http://{values.host}:{port}/v1/models/{values.model_name}",
          flush=True)
    uvicorn.Server(uvicorn.Config(application, log_level="warning")).run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # With the protocol named asyncio sends small answers at once; otherwise each waits 40 ms.
        found = socket.socket(family, kind, socket.IPPROTO_TCP)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen()
    except OSError as error:
        raise errors.UserError(f"host={host}, port={port}: cannot be listened on ({error.strerror})") from None
    return found


if __name__ == "__main__":
    define_flags()
    cli.run(main, __doc__)

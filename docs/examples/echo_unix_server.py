"""Answer lines of text over a Unix socket."""

import argparse
import logging
from contextlib import suppress

from echo import PROTOCOL, Echo

from easynetwork.servers.standalone_unix_stream import StandaloneUnixStreamServer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--path", default="echo.sock")
    options = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # Only this user may connect.
    with StandaloneUnixStreamServer(options.path, PROTOCOL, Echo(), mode=0o600) as server:
        with suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()

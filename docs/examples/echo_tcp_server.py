"""Answer lines of text over TCP."""

import argparse
import logging
from contextlib import suppress

from echo import PROTOCOL, Echo

from easynetwork.servers import StandaloneTCPNetworkServer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    options = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with StandaloneTCPNetworkServer(options.host, options.port, PROTOCOL, Echo()) as server:
        with suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()

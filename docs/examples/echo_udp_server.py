"""Answer lines of text over UDP."""

import argparse
import logging
from contextlib import suppress

from echo import DATAGRAM_PROTOCOL, DatagramEcho

from easynetwork.servers import StandaloneUDPNetworkServer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    options = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with StandaloneUDPNetworkServer(options.host, options.port, DATAGRAM_PROTOCOL, DatagramEcho()) as server:
        with suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()

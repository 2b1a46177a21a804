"""Answer lines of text over TLS."""

import argparse
import logging
import ssl
from contextlib import suppress

from echo import PROTOCOL, Echo

from easynetwork.servers import StandaloneTCPNetworkServer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--certificate", default="server.pem", help="file with the server's certificate")
    parser.add_argument("--key", default="server.key", help="file with its private key")
    options = parser.parse_args()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)  # settings for a server
    context.load_cert_chain(options.certificate, options.key)

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with StandaloneTCPNetworkServer(options.host, options.port, PROTOCOL, Echo(), ssl=context) as server:
        with suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()

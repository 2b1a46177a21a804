"""The server that a Twisted user writes: a `LineReceiver`, on Twisted's asyncio reactor."""

from __future__ import annotations

import argparse
import asyncio

from twisted.internet import asyncioreactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver

from benchmarks.servers.harness import BACKLOG, HOST, Ready, main


class Echo(LineReceiver):
    delimiter = b"\n"

    def lineReceived(self, line: bytes) -> None:
        self.sendLine(line)


async def serve(options: argparse.Namespace, ready: Ready) -> None:
    loop = asyncio.get_running_loop()
    asyncioreactor.install(loop)
    from twisted.internet import reactor  # the one that was just installed

    # The loop runs already. reactor.run() would do this and then run it.
    reactor.startRunning(installSignalHandlers=False)
    port = await TCP4ServerEndpoint(reactor, 0, BACKLOG, HOST).listen(Factory.forProtocol(Echo)).asFuture(loop)
    ready(port.getHost().port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    main(serve)

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import easynetwork.protocol, easynetwork.serializers, easynetwork.serializers.cbor, easynetwork.serializers.msgpack
import easynetwork.serializers.wrapper, easynetwork.serializers.composite, easynetwork.serializers.tools
print(*sys.modules)
"""


def test_importing_serializers_imports_no_extra_and_no_event_loop() -> None:
    program = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    extras = {"cbor2", "msgpack", "msgspec", "google", "backports", "lz4", "trio"}
    assert not (extras | {"asyncio", "uvloop"}) & set(program.stdout.split())

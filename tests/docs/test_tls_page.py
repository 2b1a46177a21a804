"""The server in docs/how-to/tls.md gets a new certificate as the page says."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
import trustme
from tests.docs.pages import HOW_TO, marked_blocks
from tests.support.programs import output_of, running

PROGRAMS = marked_blocks(HOW_TO / "tls.md", "file")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_the_server_shows_the_new_certificate_after_a_signal(tmp_path: Path) -> None:
    server, client = PROGRAMS["renewing_server.py"], PROGRAMS["certificate_names.py"]
    assert server.count("9000") == client.count("9000") == 1
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    (tmp_path / "server.py").write_text(server.replace("9000", "0"))
    with running([sys.executable, "-u", "server.py"], tmp_path) as program:
        port = program.wait_for(r"Start serving at .*, (\d+)\)")[0][1]
        (tmp_path / "client.py").write_text(client.replace("9000", port))
        assert output_of(["client.py"], tmp_path) == "(('DNS', 'localhost'),)\n"
        renewed = authority.issue_cert("localhost", "example.org")
        renewed.private_key_and_cert_chain_pem.write_to_path(tmp_path / "renewed.pem")
        os.replace(tmp_path / "renewed.pem", tmp_path / "server.pem")
        program.process.send_signal(signal.SIGHUP)
        program.wait_for("new connections use the new TLS context")
        assert output_of(["client.py"], tmp_path) == "(('DNS', 'localhost'), ('DNS', 'example.org'))\n"
        program.interrupt()

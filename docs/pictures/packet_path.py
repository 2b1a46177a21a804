"""The path of a packet through a TCP server."""

from __future__ import annotations

__all__ = ["draw"]

from docs.pictures.drawing import Drawing, Palette

_DESCRIPTION = """\
The kernel has received bytes. The event loop reads them once and calls back. With TLS, an engine decrypts the chunk.
The decoder cuts it into packets. Each packet resumes your handler at its yield, and the handler calls send_packet().
The answers to all packets of the read are collected in a write batch, which is written once. All this is one call
stack. The task of the connection is scheduled only when an await of the handler has to wait. Flow control: while the
handler is busy, reading pauses above 64 KiB; while the peer is slow, send_packet() waits above 64 KiB."""

_LEFT, _RIGHT = 262, 458  # where the packets go down, and the answers up
_SPREAD = 18  # between the arrows of several packets
_BUSY_HANDLER = ("Flow control:", "while the", "handler works,", "no more reads", "above 64 KiB")
_SLOW_PEER = ("Flow control:", "while 64 KiB", "are unsent,", "`send_packet`", "waits")


def draw(palette: Palette) -> Drawing:
    picture = Drawing(palette, 706, "The path of a packet through a TCP server", _DESCRIPTION)
    picture.heading(
        "The path of a packet through a TCP server",
        "No task, future or queue per packet. All answers to one read leave in one write.",
    )
    picture.box(16, 80, 688, 40, "Kernel")
    picture.box(16, 158, 688, 40, "Event loop (uvloop or asyncio)")
    _between(picture, 120, 158, "one read", "one write")

    picture.rectangle(160, 236, 400, 356, stroke=palette.accent, radius=10)
    picture.text(360, 264, "one call stack", anchor="middle", colour=palette.accent, bold=True)
    _between(picture, 198, 234, "callback", "`write()`")
    picture.arrow((_LEFT, 234), (_LEFT, 280), accent=True)
    picture.arrow((_RIGHT, 280), (_RIGHT, 234), accent=True)

    picture.box(176, 280, 368, 56, "TLS engine", "if TLS is on", dashed=True)
    picture.texts(_LEFT - 30, 308, "decrypts", anchor="middle")
    picture.texts(_RIGHT + 30, 308, "encrypts", anchor="middle")
    _between(picture, 336, 376, "chunk", "bytes", accent=True)

    picture.box(176, 376, 172, 56, "Decoder", "cuts the chunk")
    picture.box(372, 376, 172, 56, "Write batch", "encoded answers")
    for offset in (-_SPREAD, 0, _SPREAD):
        picture.arrow((_LEFT + offset, 432), (_LEFT + offset, 492), accent=True)
        picture.arrow((_RIGHT + offset, 492), (_RIGHT + offset, 432), accent=True)
    picture.text(_LEFT + _SPREAD + 10, 456, "packets", colour=palette.muted)
    picture.text(_RIGHT - _SPREAD - 10, 478, "answers", anchor="end", colour=palette.muted)

    picture.rectangle(176, 492, 368, 84, fill=palette.tint, stroke=palette.accent)
    picture.text(360, 520, "Your handler", anchor="middle", size=15, bold=True)
    picture.text(256, 554, "`request = yield`", anchor="middle")
    picture.arrow((328, 549), (356, 549), accent=True)
    picture.text(448, 554, "`send_packet(answer)`", anchor="middle")

    picture.arrow((360, 576), (360, 634), dashed=True)
    picture.text(372, 617, "when an `await` has to wait", colour=palette.muted)
    picture.box(176, 634, 368, 56, "Task of the connection", "otherwise no packet schedules it")

    picture.arrow((176, 534), (144, 534), (144, 198), dashed=True)
    picture.texts(132, 366, *_BUSY_HANDLER, anchor="end")
    picture.arrow((576, 198), (576, 534), (544, 534), dashed=True)
    picture.texts(588, 366, *_SLOW_PEER)
    return picture


def _between(picture: Drawing, top: float, bottom: float, inwards: str, outwards: str, *, accent: bool = False) -> None:
    """Draw an arrow down and an arrow up, and say what they stand for."""
    picture.arrow((_LEFT, top), (_LEFT, bottom), accent=accent)
    picture.arrow((_RIGHT, bottom), (_RIGHT, top), accent=accent)
    baseline = (top + bottom) / 2 + 5
    picture.text(_LEFT + 10, baseline, inwards, colour=picture.palette.muted)
    picture.text(_RIGHT - 10, baseline, outwards, anchor="end", colour=picture.palette.muted)

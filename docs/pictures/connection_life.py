"""The life of a connection of a TCP server."""

from __future__ import annotations

__all__ = ["draw"]

from docs.pictures.drawing import Drawing, Palette

_DESCRIPTION = """\
A server accepts a connection. Over a limit, it is closed at once. With proxy_protocol, it must begin with a PROXY
header; with ssl, with a TLS handshake. Otherwise it is closed. Then on_connection() runs. After that, handle() receives
requests at its yield and sends answers, over and over; an invalid packet and a timeout are errors at the yield. The end
is orderly if the peer ends its direction, if the handler calls aclose(), if the server drains, and after idle_timeout.
It is abrupt if the handler raises an exception, the connection is lost, another limit is exceeded, the server shuts
down, or the deadline of a drain is over. Then on_disconnection() runs, unless on_connection() has failed. An orderly
close sends what is left; an abrupt one resets the connection if unsent data is lost."""

_LEFT, _WIDTH = 16, 360  # the steps
_CENTRE = _LEFT + _WIDTH / 2
_NOTES = 416
_ORDERLY = (
    "the peer ends its direction",
    "the handler calls `aclose()`",
    "the server drains",
    "`idle_timeout` is over",
)
_ABRUPT = (
    "the handler raises",
    "the connection is lost",
    "another limit is exceeded",
    "`shutdown()`, deadline of a drain",
)


def draw(palette: Palette) -> Drawing:
    picture = Drawing(palette, 862, "The life of a connection", _DESCRIPTION)
    picture.heading("The life of a connection", "Dashed steps exist only if the server is configured for them.")

    _step(picture, 80, "Accept", "if the limits allow one more")
    _otherwise(picture, 80, "over a limit: closed at once,", "before it costs a task")
    _step(picture, 152, "PROXY header", "with `proxy_protocol=`", dashed=True)
    _otherwise(picture, 152, "invalid, late or untrusted:", "closed, one line in the log")
    _step(picture, 224, "TLS handshake", "with `ssl=`", dashed=True)
    _otherwise(picture, 224, "failed or late: closed,", "one line in the log")
    _step(picture, 296, "`on_connection()`", "once, before the first request")
    _otherwise(picture, 296, "raises: closed, without", "`on_disconnection()`")

    picture.rectangle(_LEFT, 368, _WIDTH, 100, fill=palette.tint, stroke=palette.accent)
    picture.text(_CENTRE, 393, "`handle()`", anchor="middle", size=15, bold=True)
    picture.text(_CENTRE, 421, "`request = yield`", anchor="middle")
    picture.text(_CENTRE, 449, "`await client.send_packet(answer)`", anchor="middle")
    picture.arrow((346, 444), (362, 444), (362, 416), (270, 416), accent=True)
    picture.texts(
        _NOTES, 418, "invalid packet, timeout: an error", "at the `yield`. A handler that", "catches it goes on."
    )

    left, right = 182, 538
    picture.arrow((left, 468), (left, 500))
    picture.arrow((300, 468), (300, 484), (right, 484), (right, 500))
    picture.box(16, 500, 332, 122, "Orderly end", *_ORDERLY)
    picture.box(372, 500, 332, 122, "Abrupt end", *_ABRUPT)
    for x in (left, right):
        picture.arrow((x, 622), (x, 644))
        picture.arrow((x, 700), (x, 722))
    picture.box(16, 644, 688, 56, "`on_disconnection()`", "once, if `on_connection()` succeeded")
    picture.box(16, 722, 332, 84, "Close", "sends what is left, then discards", "input for at most 6 s or 16 MiB")
    picture.box(372, 722, 332, 84, "Abort", "resets the connection", "if unsent data is lost")
    picture.texts(16, 832, "`aclose()`, and limits that abort, close the connection before `on_disconnection()`.")
    return picture


def _step(picture: Drawing, top: float, title: str, words: str, *, dashed: bool = False) -> None:
    picture.box(_LEFT, top, _WIDTH, 52, title, words, dashed=dashed)
    picture.arrow((_CENTRE, top + 52), (_CENTRE, top + 72))


def _otherwise(picture: Drawing, top: float, *lines: str) -> None:
    picture.arrow((_LEFT + _WIDTH, top + 26), (_NOTES - 8, top + 26))
    picture.texts(_NOTES, top + 26, *lines)

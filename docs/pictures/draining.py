"""The time line of a drain."""

from __future__ import annotations

__all__ = ["draw"]

from docs.pictures.drawing import Drawing, Palette

_DESCRIPTION = """\
A server drains. Its sockets close: new clients are refused, or another process accepts them. An idle connection is
closed at once. A request that is being handled is answered, and then its connection is closed. A request of which a
part has arrived is awaited, handled and answered, and then its connection is closed; if the rest does not arrive, the
connection is cut at the deadline. A client that does not read its answer is cut at the deadline, by a reset. In this
example, drain() returns at the deadline: two connections finished, one idle, one cut."""

_START, _BEGIN, _DEADLINE, _END = 184, 290, 620, 704  # of the time line; what happens in it
_TOP, _LANE = 98, 62


def draw(palette: Palette) -> Drawing:
    picture = Drawing(palette, 474, "What becomes of connections when a server drains", _DESCRIPTION)
    picture.heading("What becomes of connections when a server drains")
    for number in range(5):
        picture.rectangle(16, _TOP + _LANE * number, 688, _LANE - 6, fill=palette.surface)
    bottom = _TOP + _LANE * 5
    for x, words in ((_BEGIN, "`drain(timeout)`"), (_DEADLINE, "deadline")):
        picture.text(x, _TOP - 16, words, anchor="middle", bold=True)
        picture.line((x, _TOP - 8), (x, bottom), dashed=True)

    y = _lane(picture, 0, "listener", _BEGIN)
    picture.dot(_BEGIN, y)
    picture.texts(_BEGIN + 16, y, "new clients are refused,", "or another process accepts them")

    y = _lane(picture, 1, "idle", _BEGIN)
    picture.dot(_BEGIN, y)
    picture.texts(_BEGIN + 16, y, "closed at once")

    y = _lane(picture, 2, "request in flight", 410)
    _work(picture, 224, 410, y, "handler works")
    picture.dot(410, y)
    picture.texts(426, y, "answered, then closed")

    y = _lane(picture, 3, "half a request", 490, -11)
    picture.rectangle(224, y - 11, 176, 22, fill=palette.ground, stroke=palette.line, dashed=True, radius=3)
    picture.texts(312, y, "waits for the rest", anchor="middle")
    _work(picture, 400, 490, y, "works")
    picture.dot(490, y)
    picture.texts(506, y, "answered")
    picture.texts(_BEGIN + 16, y + 25, "otherwise cut at the deadline")

    y = _lane(picture, 4, "slow reader", _DEADLINE)
    _work(picture, 224, _DEADLINE, y, "the answer is not taken")
    picture.cross(_DEADLINE, y)
    picture.texts(_DEADLINE + 16, y, "reset")

    y = bottom + 22
    picture.line((16, y), (40, y), width=3)
    picture.texts(48, y, "open")
    picture.dot(114, y)
    picture.texts(128, y, "closed in an orderly way")
    picture.text(_END, y + 5, "`DrainReport(finished=2, idle=1, cut=1)`", anchor="end")
    return picture


def _lane(picture: Drawing, number: int, name: str, end: float, shift: float = 0) -> float:
    """Draw a connection that is open until *end*, *shift* below the middle of its lane. Return its y."""
    y = _TOP + _LANE * number + (_LANE - 6) / 2 + shift
    picture.text(28, y + 5, name, bold=True)
    picture.line((_START, y), (end, y), width=3)
    return y


def _work(picture: Drawing, start: float, end: float, y: float, words: str) -> None:
    colours = picture.palette
    picture.rectangle(start, y - 11, end - start, 22, fill=colours.tint, stroke=colours.accent, radius=3)
    picture.text((start + end) / 2, y + 5, words, anchor="middle")

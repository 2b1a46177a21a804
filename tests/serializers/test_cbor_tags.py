"""Which tags of a stranger are decoded, and what they may cost."""

from __future__ import annotations

import datetime
import decimal
import fractions
import ipaddress
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from tests.support.serializer_drivers import pieces, receive, receive_buffered, receive_decoded

from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError
from easynetwork.serializers import CBORSerializer
from easynetwork.serializers.cbor import CBORDecoderConfig, CBOREncoderConfig

PATTERN = b"\xd8\x23\x62a+"
MAIL = b"\xd8\x24\x78\x19" + b"Content-Type: text/plain\n\n"[:25]
TAG_35_IN_OTHER_WORDS = [b"\xd9\x00\x23", b"\xda" + bytes(3) + b"\x23", b"\xdb" + bytes(7) + b"\x23"]


def tagged(tag: int, item: bytes) -> bytes:
    return b"\xda" + tag.to_bytes(4, "big") + item


def array(*items: bytes) -> bytes:
    return b"\x99" + len(items).to_bytes(2, "big") + b"".join(items)


def hold_the_one_before_twice(depth: int) -> bytes:
    """An array of arrays: ``[1], [#0, #0], [#1, #1]...``, small only because of references."""
    reference = [b"\xd8\x1d" + cbor2.dumps(number) for number in range(depth)]
    return array(b"\xd8\x1c\x81\x01", *(b"\xd8\x1c" + array(number, number) for number in reference))


LARGE = 10**4300
HUGE = b"\xc2" + cbor2.dumps(b"\x7f" * 60_000)
PLACES: dict[str, Callable[[bytes], bytes]] = {
    "alone": lambda item: item,
    "in an array": lambda item: array(b"\x01", item),
    "in an endless array": lambda item: b"\x9f" + item + b"\xff",
    "key": lambda item: b"\xa1" + item + b"\x01",
    "value": lambda item: b"\xa1\x01" + item,
    "inside a key": lambda item: b"\xa1\x81" + item + b"\x01",
    "in a set": lambda item: b"\xd9\x01\x02\x81" + item,
    "in a tag of one's own": lambda item: tagged(6000, item),
    "self-described": lambda item: b"\xd9\xd9\xf7" + item,
    "after strings": lambda item: array(cbor2.dumps("ł" * 100), b"\x5f\x41a\xff", cbor2.dumps(-2.5), item),
    "after many items": lambda item: array(cbor2.dumps(list(range(1500))), item),
}
REFUSED: dict[str, bytes] = {
    "regular expression": PATTERN,
    "mail": MAIL,
    **{f"regular expression {number}": tag + b"\x61a" for number, tag in enumerate(TAG_35_IN_OTHER_WORDS)},
    "decimal": b"\xc4\x82\x00" + cbor2.dumps(LARGE),
    "decimal of minus": b"\xc4\x82\x00" + cbor2.dumps(-LARGE - 1),
    "decimal, tag in other words": b"\xd8\x04\x82\x00" + cbor2.dumps(LARGE),
    "decimal, array in other words": b"\xc4\x9a\x00\x00\x00\x02\x00" + cbor2.dumps(LARGE),
    "decimal, endless array": b"\xc4\x9f\x00" + cbor2.dumps(LARGE) + b"\xff",
    "decimal, shared": b"\xc4\xd8\x1c\x82\x00" + cbor2.dumps(LARGE),
    "decimal, exponent": b"\xc4\x82" + cbor2.dumps(1_000_000) + b"\x01",
    "decimal of a map": b"\xc4\xa2\x00\x00" + cbor2.dumps(LARGE) + b"\x00",
    "decimal, exponent by reference": b"\xd9\x01\x00\x82\x48" + (10**15).to_bytes(8) + b"\xc4\x82\xc2\xd8\x19\x00\x01",
    "bigfloat": b"\xc5\x82\x00" + cbor2.dumps(LARGE),
    "bigfloat, exponent": b"\xc5\x82" + cbor2.dumps(2**63) + b"\x05",
    "bigfloat, large exponent": b"\xc5\x82" + HUGE + b"\x05",
    "fraction": b"\xd8\x1e\x82\x01" + cbor2.dumps(LARGE),
    "fraction, numerator": b"\xd8\x1e\x82" + cbor2.dumps(LARGE) + b"\x01",
    "fraction of a text": b"\xd8\x1e\x81" + cbor2.dumps("1e99999999"),
    "fraction of a decimal": b"\xd8\x1e\x81\xc4\x82\x1a\x05\xf5\xe0\xff\x01",
    "fraction of a set": b"\xd8\x1e\xd9\x01\x02\x82\x01\x02",
    "days of a decimal": b"\xd8\x64\xc4\x82\x19\x27\x10\x01",
    "cycle": b"\xd8\x1c\x81\xd8\x1d\x00",
    "cycle in a map": b"\xd8\x1c\xa1\x61a\xd8\x1d\x00",
    "cycle in a tag": b"\xd8\x1c\xd9\x17\x70\xd8\x1d\x00",
    "cycle, reference in other words": b"\xd8\x1c\x81" + tagged(29, b"\x18\x00"),
    "large key": b"\xa1" + hold_the_one_before_twice(60) + b"\x01",
    "large member": b"\xd9\x01\x02\x81" + hold_the_one_before_twice(60),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("item", REFUSED.values(), ids=REFUSED.keys())
def test_tag_that_does_not_make_plain_data_is_an_invalid_packet(item: bytes, place: Any) -> None:
    serializer = CBORSerializer()
    data = place(item)
    with pytest.raises(DeserializeError):
        serializer.deserialize(data)
    ways: Any = [(receive, 10**6), (receive, 100), (receive_buffered, 1000), (receive_decoded, 1000)]
    for receive_all, size in ways:
        results = receive_all(serializer, [*pieces(data, size), b"\x61z"])
        assert type(results[0].error) is IncrementalDeserializeError
        assert results[-1] == "z"


@pytest.mark.parametrize("item", [PATTERN, MAIL, *(tag + b"\x61a" for tag in TAG_35_IN_OTHER_WORDS)])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_packet_with_a_refused_tag_is_skipped_as_a_whole(item: bytes, size: int) -> None:
    data = cbor2.dumps("before") + array(item, cbor2.dumps("not a packet")) + cbor2.dumps("after")
    before, refused, after = receive(CBORSerializer(), pieces(data, size))
    assert (before, after) == ("before", "after")
    assert re.search(r"tag 3[56] .* allowed_tags", str(refused))


def test_pattern_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    serializer = CBORSerializer()
    with monkeypatch.context() as patch:
        patch.setattr(re, "compile", lambda *arguments: compiled.append(arguments))
        for data in [place(PATTERN) for place in PLACES.values()]:
            with pytest.raises(DeserializeError):
                serializer.deserialize(data)
    assert not compiled


@pytest.mark.parametrize("option", ["canonical", "value_sharing", "string_referencing"])
def test_plain_data_is_decoded(option: Any) -> None:
    options: Any = {option: True}
    config = CBOREncoderConfig(**options)
    huge = decimal.Decimal(2**80)
    packet: Any = [
        datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC),
        datetime.date(2024, 2, 29),
        2**100,
        -(2**100),
        decimal.Decimal("1.50"),
        decimal.Decimal("-1E+999999"),
        decimal.Decimal(LARGE - 1),
        [huge, huge],
        fractions.Fraction(LARGE - 1, 7),
        uuid.UUID(int=5),
        ipaddress.ip_address("10.0.0.1"),
        ipaddress.ip_address("::1"),
        ipaddress.ip_network("10.0.0.0/8"),
        {1, 2},
        "x" * 100,
        "x" * 100,
    ]
    serializer = CBORSerializer(config)
    data = serializer.serialize(packet)
    packet = cbor2.loads(data)  # cbor2 5.6.0 makes a mistake with references
    assert serializer.deserialize(data) == packet
    for size in (7, 10_000):
        assert receive(serializer, pieces(data, size)) == [packet]


@pytest.mark.parametrize(
    ("data", "packet"),
    [
        (b"\xc5\x82\x20\x03", decimal.Decimal("1.5")),
        (b"\xd8\x1e\x82\x01\x03", fractions.Fraction(1, 3)),
        (b"\xd8\x64\x01", datetime.date(1970, 1, 2)),
        (b"\xc1\x01", datetime.datetime(1970, 1, 1, 0, 0, 1, tzinfo=datetime.UTC)),
        (b"\xd9\xd9\xf7\x01", 1),
        (b"\x82\xd8\x1c\x81\x01\xd8\x1d\x00", [[1], [1]]),
        (b"\xd9\x01\x00\x82" + b"\x63abc" + b"\xd8\x19\x00", ["abc", "abc"]),
        (b"\x82\xd8\x1c\x01\xa1\xd8\x1d\x00\x02", [1, {1: 2}]),
    ],
)
def test_plain_tags_are_decoded(data: bytes, packet: Any) -> None:
    if cbor2.loads(data) != packet:
        pytest.skip("a mistake of this version of cbor2")
    assert CBORSerializer().deserialize(data) == packet
    assert receive(CBORSerializer(), pieces(data, max(len(data) // 100, 1))) == [packet]


def test_integer_alone_may_have_any_size() -> None:
    number = int.from_bytes(b"\x7f" * 60_000, "big")
    for chunks in ([HUGE], pieces(HUGE, 1000)):
        assert receive(CBORSerializer(), chunks)[0] == number


@pytest.mark.parametrize("tag", [6, 16, 6000, 40, 2**40])
def test_tag_that_cbor2_does_not_know_is_left_alone(tag: int) -> None:
    data = cbor2.dumps([cbor2.CBORTag(tag, "x"), 1])
    assert CBORSerializer().deserialize(data) == [cbor2.CBORTag(tag, "x"), 1]
    config = CBORDecoderConfig(tag_hook=lambda *arguments: "hook")
    assert CBORSerializer(None, config).deserialize(data) == ["hook", 1]


def test_tag_hook_does_not_get_what_is_refused() -> None:
    config = CBORDecoderConfig(tag_hook=lambda *arguments: "hook")
    with pytest.raises(DeserializeError, match="tag 35"):
        CBORSerializer(None, config).deserialize(array(tagged(6000, b"\x01"), PATTERN))


def test_more_tags_can_be_allowed() -> None:
    serializer = CBORSerializer(allowed_tags=[35])
    assert serializer.deserialize(PATTERN) == re.compile("a+")
    for tag in TAG_35_IN_OTHER_WORDS:
        assert receive(serializer, pieces(array(tag + b"\x62a+", b"\x01"), 1)) == [[re.compile("a+"), 1]]
    with pytest.raises(DeserializeError, match="tag 36"):
        serializer.deserialize(MAIL)
    with pytest.raises(DeserializeError, match="4300 digits"):
        CBORSerializer(allowed_tags=[4]).deserialize(REFUSED["decimal"])


@pytest.mark.parametrize(("tags", "error"), [(["35"], TypeError), ([-1], ValueError), ([2**64], ValueError)])
def test_allowed_tags_are_numbers(tags: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="allowed_tags"):
        CBORSerializer(allowed_tags=tags)


def test_every_tag_of_this_version_is_either_plain_or_refused() -> None:
    """A tag that a later ``cbor2`` makes something of is refused until we have had a look at it."""
    known = {0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799}
    serializer = CBORSerializer()
    for tag in {*range(400), 1004, *range(43000, 43010), *range(55790, 55810), 2**16, 2**32} - known:
        data = tagged(tag, b"\x61a") if tag < 2**32 else b"\xdb" + tag.to_bytes(8, "big") + b"\x61a"
        if isinstance(cbor2.loads(data), cbor2.CBORTag):
            assert serializer.deserialize(data) == cbor2.CBORTag(tag, "a")
        else:
            with pytest.raises(DeserializeError, match=f"tag {tag} "):
                serializer.deserialize(data)


@pytest.mark.parametrize(
    "data",
    [
        array(*[PATTERN] * 10_000),
        array(*[b"\xc4\x82\x00" + cbor2.dumps(LARGE - 1)] * 30),
        array(*[b"\xc4\x82\x00\x01"] * 10_000),
        array(b"\xd8\x1c\x80", *[b"\xd8\x1d\x00"] * 15_000),
        b"\xd8\x1c" * 300 + b"\x01",
        hold_the_one_before_twice(5000),
        array(*[tagged(6000 + number, b"\x01") for number in range(8000)]),
    ],
    ids=["patterns", "large decimals", "decimals", "references", "marks", "references to references", "unknown tags"],
)
def test_tags_take_time_in_proportion_to_their_number(data: bytes) -> None:
    start = time.process_time()
    try:
        CBORSerializer().deserialize(data)
    except DeserializeError:
        pass
    assert time.process_time() - start < 5  # seconds; some tens of milliseconds are normal

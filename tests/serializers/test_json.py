from __future__ import annotations

import decimal
import json
import sys
from typing import Any

import pytest
from tests.support.serializer_drivers import pieces, receive, receive_buffered, receive_decoded, send

from easynetwork.exceptions import (
    DeserializeError,
    IncrementalDeserializeError,
    LimitOverrunError,
    StreamProtocolParseError,
)
from easynetwork.serializers import JSONSerializer
from easynetwork.serializers.json import JSONDecoderConfig, JSONEncoderConfig

DOCUMENTS: list[Any] = [
    {"a": [1, 2.5, None, True], "é": '"}{\\'},
    [],
    {},
    'text with \\ and " and ] and }',
    "",
    [[["]"]]],
    {"{": "}"},
    123,
    -1.5e300,
    None,
    True,
]


def results_of(results: list[Any]) -> list[Any]:
    """Replace parse errors by a tuple: the class of the error, and what remains."""
    return [
        (type(result.error), bytes(result.remaining_data)) if isinstance(result, StreamProtocolParseError) else result
        for result in results
    ]


def test_properties_are_what_was_given() -> None:
    assert (JSONSerializer().buffer_limit, JSONSerializer().debug) == (65536, False)
    serializer = JSONSerializer(limit=123, debug=True)
    assert (serializer.buffer_limit, serializer.debug) == (123, True)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"encoder_config": {}}, TypeError),
        ({"encoder_config": JSONDecoderConfig()}, TypeError),
        ({"decoder_config": {}}, TypeError),
        ({"decoder_config": JSONEncoderConfig()}, TypeError),
        ({"limit": 0}, ValueError),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        JSONSerializer(**arguments)


def test_output_is_compact() -> None:
    assert JSONSerializer().serialize({"a": [1, {"b": None}]}) == b'{"a":[1,{"b":null}]}'


@pytest.mark.parametrize("document", DOCUMENTS)
def test_one_shot_gives_back_what_it_was_given(document: Any) -> None:
    assert JSONSerializer().deserialize(JSONSerializer().serialize(document)) == document


def test_whitespace_around_a_document_is_fine() -> None:
    assert JSONSerializer().deserialize(b" \t\r\n[1] \t\r\n") == [1]


def test_encoder_config_is_obeyed() -> None:
    config = JSONEncoderConfig(skipkeys=True, ensure_ascii=False, default=str)
    serializer = JSONSerializer(config)
    assert serializer.serialize({(1, 2): 1, "é": decimal.Decimal(1)}) == '{"é":"1"}'.encode()
    with pytest.raises(ValueError):
        JSONSerializer(JSONEncoderConfig(allow_nan=False)).serialize(float("nan"))
    with pytest.raises(TypeError):
        JSONSerializer().serialize(object())


def test_decoder_config_is_obeyed() -> None:
    serializer = JSONSerializer(None, JSONDecoderConfig(parse_float=decimal.Decimal, object_pairs_hook=tuple))
    assert serializer.deserialize(b'{"a":1.10}') == (("a", decimal.Decimal("1.10")),)
    assert JSONSerializer(None, JSONDecoderConfig(strict=False)).deserialize(b'"\t"') == "\t"
    with pytest.raises(DeserializeError):
        JSONSerializer().deserialize(b'"\t"')


def test_encoding_is_obeyed() -> None:
    serializer = JSONSerializer(JSONEncoderConfig(ensure_ascii=False), encoding="latin-1", unicode_errors="replace")
    assert serializer.serialize("é") == b'"\xe9"'
    assert serializer.serialize("€") == b'"?"'
    assert serializer.deserialize(b'"\xe9"') == "é"


@pytest.mark.parametrize("debug", [False, True])
def test_undecodable_bytes_are_invalid(debug: bool) -> None:
    with pytest.raises(DeserializeError) as caught:
        JSONSerializer(debug=debug).deserialize(b'"\xff"')
    assert caught.value.error_info == ({"data": b'"\xff"'} if debug else None)


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    ("data", "position", "lineno", "colno"),
    [
        (b"", 0, 1, 1),
        (b"  ", 2, 1, 3),
        (b"[1,\n x]", 5, 2, 2),
        (b"[1] \n2", 5, 2, 1),
        (b"nul", 0, 1, 1),
    ],
)
def test_invalid_document_says_where(debug: bool, data: bytes, position: int, lineno: int, colno: int) -> None:
    with pytest.raises(DeserializeError) as caught:
        JSONSerializer(debug=debug).deserialize(data)
    assert type(caught.value) is DeserializeError
    info = {"document": data.decode(), "position": position, "lineno": lineno, "colno": colno}
    assert caught.value.error_info == (info if debug else None)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_document_that_is_nested_too_deeply_is_invalid(opening: bytes) -> None:
    with pytest.raises(DeserializeError):
        JSONSerializer().deserialize(opening * 200_000)


def test_integer_with_too_many_digits_is_invalid() -> None:
    digits = b"1" * (sys.get_int_max_str_digits() + 1)
    for config in (None, JSONDecoderConfig(object_hook=dict)):
        with pytest.raises(DeserializeError):
            JSONSerializer(None, config).deserialize(digits)


@pytest.mark.parametrize("use_lines", [True, False])
@pytest.mark.parametrize("error", [ValueError, KeyError, TypeError, StopIteration, EOFError, json.JSONDecodeError])
@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("object_hook", b"{}"),
        ("object_pairs_hook", b"{}"),
        ("parse_int", b"[1]"),
        ("parse_float", b"[1.5]"),
        ("parse_constant", b"[NaN]"),
    ],
)
def test_document_that_a_hook_refuses_is_invalid(name: str, document: bytes, error: Any, use_lines: bool) -> None:
    def hook(_: Any) -> Any:
        raise error("the hook", "", 0) if error is json.JSONDecodeError else error("the hook")

    hooks: Any = {name: hook}
    serializer = JSONSerializer(None, JSONDecoderConfig(**hooks), use_lines=use_lines)
    with pytest.raises(DeserializeError) as caught:
        serializer.deserialize(document)
    assert isinstance(caught.value.__cause__, Exception)
    for receive_all in (receive, receive_buffered, receive_decoded):
        refused, packet = receive_all(serializer, [document + b'\n"next"\n'])
        assert type(refused.error) is IncrementalDeserializeError
        assert packet == "next"


def test_hook_may_say_more_about_what_it_refuses() -> None:
    def hook(_: Any) -> Any:
        raise DeserializeError("not a point", {"point": 1})

    with pytest.raises(DeserializeError, match="not a point") as caught:
        JSONSerializer(None, JSONDecoderConfig(object_hook=hook)).deserialize(b"{}")
    assert caught.value.error_info == {"point": 1}


# -------------------------------------------------------------------------------------------------------------- lines


@pytest.mark.parametrize("document", DOCUMENTS)
def test_line_is_one_chunk_with_a_newline(document: Any) -> None:
    expected = json.dumps(document, separators=(",", ":")).encode() + b"\n"
    assert list(JSONSerializer().incremental_serialize(document)) == [expected]


@pytest.mark.parametrize("receive_all", [receive, receive_buffered])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_each_line_is_a_document(receive_all: Any, size: int) -> None:
    serializer = JSONSerializer()
    assert receive_all(serializer, pieces(send(serializer, DOCUMENTS), size)) == DOCUMENTS


@pytest.mark.parametrize("receive_all", [receive, receive_buffered])
def test_invalid_lines_are_skipped(receive_all: Any) -> None:
    results = results_of(receive_all(JSONSerializer(), [b'[1]\r\n\n{x\n"\xff"\n[2]\n']))
    assert results == [
        [1],
        (IncrementalDeserializeError, b'{x\n"\xff"\n[2]\n'),
        (IncrementalDeserializeError, b'"\xff"\n[2]\n'),
        (IncrementalDeserializeError, b"[2]\n"),
        [2],
    ]


def test_line_longer_than_the_limit_is_refused() -> None:
    serializer = JSONSerializer(limit=8)
    assert results_of(receive(serializer, [b"[1,2,34]\n[1,2,345]\n[1]\n"])) == [
        [1, 2, 34],
        (LimitOverrunError, b"[1]\n"),
        [1],
    ]
    assert serializer.create_deserializer_buffer(100) == bytearray(8)


# ---------------------------------------------------------------------------------------------------- documents as such


@pytest.mark.parametrize("document", DOCUMENTS)
def test_only_documents_that_do_not_show_their_end_get_a_newline(document: Any) -> None:
    expected = json.dumps(document, separators=(",", ":")).encode()
    if not isinstance(document, (dict, list, str)):
        expected += b"\n"
    assert list(JSONSerializer(use_lines=False).incremental_serialize(document)) == [expected]


@pytest.mark.parametrize("receive_all", [receive, receive_buffered])
@pytest.mark.parametrize("between", [b"", b" ", b"\r\n\t "])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_documents_may_follow_each_other(receive_all: Any, between: bytes, size: int) -> None:
    serializer = JSONSerializer(use_lines=False)
    data = between + between.join(send(serializer, [document]) for document in DOCUMENTS)
    assert receive_all(serializer, pieces(data, size)) == DOCUMENTS


@pytest.mark.parametrize("sizehint", [0, 1, 10])
def test_buffer_for_documents_follows_the_hint(sizehint: int) -> None:
    buffer = JSONSerializer(use_lines=False).create_deserializer_buffer(sizehint)
    assert memoryview(buffer).nbytes == max(sizehint, 1)


@pytest.mark.parametrize(
    ("data", "results"),
    [
        (b'{"a":1}{"b"', [{"a": 1}]),
        (b'  \n{"a":1}  \n {"b"', [{"a": 1}]),
        (b"123", []),
        (b"123 4", []),
        (b"123 \n", [123]),
        (b"1 2\n3\n", [(IncrementalDeserializeError, b"3\n"), 3]),
        (b'1{"a":2}\n', [(IncrementalDeserializeError, b"")]),
        (b"[ invalid ]z", [(IncrementalDeserializeError, b"z")]),
        (b"{]}z", [(IncrementalDeserializeError, b"z")]),
        (b'nul\n{"a":1}', [(IncrementalDeserializeError, b'{"a":1}'), {"a": 1}]),
        (b"1\xe92", [1, (IncrementalDeserializeError, b"")]),
        (b"\x00abc\n[1]", [(IncrementalDeserializeError, b"")]),
        (b" \x00abc\n[1]", [(IncrementalDeserializeError, b"")]),
        (b'"a\\"b""c"', ['a"b', "c"]),
        (b'"a\\\\""c"', ["a\\", "c"]),
        (b'["\\"]"]1\n', [['"]'], 1]),
        (b"}{}", []),
        (b" \t\r\n", []),
    ],
)
def test_frame_of_a_document_ends_where_the_specification_says(data: bytes, results: list[Any]) -> None:
    assert results_of(receive(JSONSerializer(use_lines=False), [data])) == results


def test_escape_may_be_cut_anywhere() -> None:
    data = rb'"\\\"\u00e9\\"["\\","\""]'
    for size in range(1, len(data)):
        assert receive(JSONSerializer(use_lines=False), pieces(data, size)) == ['\\"é\\', ["\\", '"']]


@pytest.mark.parametrize(
    ("chunks", "results"),
    [
        ([b"[1,2,34]x"], [[1, 2, 34]]),
        ([b"[1,2,34]\nx"], [[1, 2, 34]]),
        ([b"[1,2,345]x"], [(LimitOverrunError, b"x")]),
        ([b" [1,2,34]x"], [(LimitOverrunError, b"x")]),
        ([b"[1,2,345", b"6]x"], [(LimitOverrunError, b"x")]),
        ([b"[1,2,3456"], [(LimitOverrunError, b"")]),
        ([b"[1,2,345", b"6"], [(LimitOverrunError, b"")]),
        ([b"12345678\nx"], [12345678]),
        ([b"123456789\nx"], [(LimitOverrunError, b"\nx")]),
        ([b"123456789"], [(LimitOverrunError, b"")]),
        ([b" " * 20, b" " * 20, b"[1]"], [[1]]),
    ],
)
def test_document_larger_than_the_limit_is_refused(chunks: list[bytes], results: list[Any]) -> None:
    assert results_of(receive(JSONSerializer(use_lines=False, limit=8), chunks)) == results


@pytest.mark.parametrize("debug", [False, True])
def test_invalid_document_in_a_stream_says_where(debug: bool) -> None:
    serializer = JSONSerializer(use_lines=False, debug=debug)
    (refused,) = receive(serializer, [b" [ invalid ]"])
    info = {"document": "[ invalid ]", "position": 2, "lineno": 1, "colno": 3}
    assert refused.error.error_info == (info if debug else None)

from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Request(_message.Message):
    __slots__ = ("reading", "question")
    READING_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    reading: Reading
    question: Question
    def __init__(self, reading: _Optional[_Union[Reading, _Mapping]] = ..., question: _Optional[_Union[Question, _Mapping]] = ...) -> None: ...

class Reading(_message.Message):
    __slots__ = ("station", "degrees")
    STATION_FIELD_NUMBER: _ClassVar[int]
    DEGREES_FIELD_NUMBER: _ClassVar[int]
    station: str
    degrees: float
    def __init__(self, station: _Optional[str] = ..., degrees: _Optional[float] = ...) -> None: ...

class Question(_message.Message):
    __slots__ = ("station",)
    STATION_FIELD_NUMBER: _ClassVar[int]
    station: str
    def __init__(self, station: _Optional[str] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("summary", "error")
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    summary: Summary
    error: str
    def __init__(self, summary: _Optional[_Union[Summary, _Mapping]] = ..., error: _Optional[str] = ...) -> None: ...

class Summary(_message.Message):
    __slots__ = ("station", "count", "lowest", "highest")
    STATION_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    LOWEST_FIELD_NUMBER: _ClassVar[int]
    HIGHEST_FIELD_NUMBER: _ClassVar[int]
    station: str
    count: int
    lowest: float
    highest: float
    def __init__(self, station: _Optional[str] = ..., count: _Optional[int] = ..., lowest: _Optional[float] = ..., highest: _Optional[float] = ...) -> None: ...

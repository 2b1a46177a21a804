"""The packets of a stock: requests and replies, as JSON with a type and checked values."""

from typing import Annotated, TypeAlias

import msgspec

from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import MsgspecJSONSerializer

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class Put(msgspec.Struct, tag="put"):
    """Put *count* pieces of an article into the stock."""

    article: Name
    count: Count = 1


class Take(msgspec.Struct, tag="take"):
    """Take *count* pieces out."""

    article: Name
    count: Count = 1


class List(msgspec.Struct, tag="list"):
    """Tell what is there."""


class Articles(msgspec.Struct, tag="articles"):
    """What is there after a request."""

    articles: dict[str, int]


class Refusal(msgspec.Struct, tag="refusal"):
    """Why a request was refused."""

    reason: str


Request: TypeAlias = Put | Take | List
Reply: TypeAlias = Articles | Refusal

SERVER_PROTOCOL: StreamProtocol[Reply, Request] = StreamProtocol(MsgspecJSONSerializer(Request))
CLIENT_PROTOCOL: StreamProtocol[Request, Reply] = StreamProtocol(MsgspecJSONSerializer(Reply))

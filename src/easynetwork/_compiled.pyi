from collections.abc import Callable
from typing import Any, TypeVar

_T_Function = TypeVar("_T_Function", bound=Callable[..., Any])

source_digest: str

def shortcut(function: _T_Function, /) -> _T_Function: ...
def text_decoder(encoding: str, errors: str, /) -> Callable[[bytes], str] | None: ...
def line_encoder(
    encode_frame: Callable[[str], bytes], encoding: str, separator: bytes, /
) -> Callable[[str], bytes] | None: ...

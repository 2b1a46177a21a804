from collections.abc import Callable
from typing import Any, TypeVar

_T_Function = TypeVar("_T_Function", bound=Callable[..., Any])

source_digest: str

def shortcut(function: _T_Function, /) -> _T_Function: ...
def faster(method: _T_Function, /) -> _T_Function: ...

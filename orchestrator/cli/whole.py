"""Whole numbers as options: cyclopts would round 2.5 to 2 and say nothing."""

from collections.abc import Sequence
from typing import Any, Final

from cyclopts import Parameter, Token, convert


def _whole(kind: Any, tokens: Sequence[Token]) -> Any:
    for token in tokens:
        if "." in token.value:
            raise ValueError(f'"{token.value}" is not a whole number.')
    return convert(kind, tokens)


WHOLE: Final = Parameter(converter=_whole)
"""Stands in `Annotated` before the parameter's own, as `Annotated[int, WHOLE, Parameter(help=...)]`."""

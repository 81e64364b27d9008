"""What `@trace(net, optimizer)` makes of a function, to a type checker: the same, and a trace."""

from __future__ import annotations

from typing import Concatenate, ParamSpec, Protocol, TypeVar, overload

from companion.tracing.result import Trace

P = ParamSpec("P")
Q = ParamSpec("Q")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")


class Traced(Protocol[P, R_co]):
    """The function: called with the same arguments, it returns the same; as a method it binds.

    Attributes:
        routine: What its calls did.
    """

    routine: Trace
    __name__: str
    __qualname__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function, watched."""
        ...

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Traced[P, R_co]: ...
    @overload
    def __get__(
        self: Traced[Concatenate[S, Q], R_co], instance: S, owner: type | None = None
    ) -> Traced[Q, R_co]: ...

"""What helps where an operation's value or slope is infinite."""

from __future__ import annotations

_CURES = {
    "log": "{0}.clamp(min=1e-8).log()  # or a criterion that takes scores, not probabilities",
    "sqrt": "({0} + 1e-8).sqrt()  # the slope of a root at 0 is infinite",
    "rsqrt": "({0} + 1e-8).rsqrt()",
    "/": "... / {0}.clamp(min=1e-8)  # where that can be 0; min=1 for a count",
    "**": "({0} + 1e-8) ** ...  # the slope of a root at 0 is infinite",
    "exp": "{0}.clamp(max=20).exp()",
    "std": "({0}.var() + 1e-8).sqrt()  # the slope of std() is infinite where all are equal",
    "acos": "{0}.clamp(-1 + 1e-6, 1 - 1e-6).acos()",
    "asin": "{0}.clamp(-1 + 1e-6, 1 - 1e-6).asin()",
    "logit": "torch.logit({0}, eps=1e-6)",
    "atanh": "{0}.clamp(-1 + 1e-6, 1 - 1e-6).atanh()",
}


def cure_of(what: str, of: str) -> str:
    """Such as `p.clamp(min=1e-8).log()` for ("log", "p").

    Example:
        >>> cure_of("log", "p")
        'p.clamp(min=1e-8).log()  # or a criterion that takes scores, not probabilities'
    """
    simple = not any(sign in of for sign in "+-*/ ") or of.endswith((")", "]"))
    return _CURES[what].format(of if simple and not of.startswith("-") else f"({of})")


def cures(operations: tuple[tuple[str, str], ...], *, masked: bool = False) -> str:
    """The same for several, each once; `masked` where a mask leaves some entries out later."""
    lines = dict.fromkeys(cure_of(what, of) for what, of in operations[:2])
    where = ["# what the mask leaves out has to be finite before:"] if masked else []
    return "\n".join([*where, *lines])

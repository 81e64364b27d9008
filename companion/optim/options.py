"""What an optimizer refuses. Where torch refuses it too, the error begins with torch's own words.

torch looks at the constructor's options only, SGD's lets NaN pass, and infinity passes everywhere.
Here all of these are refused, and the options of every parameter group that is added are looked
at. What is written into `param_groups` afterwards, by a scheduler or by hand, is not.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor


def check_number(
    value: Any, name: str, words: str, *, most: float = math.inf, below: float = math.inf
) -> None:
    """Refuse what is not one finite number from 0 to `most`, or less than `below`.

    Args:
        value: A number or a 1-element tensor.
        name: The option, as the user wrote it.
        words: What torch's error calls it.
        most: The largest value that is allowed.
        below: The smallest value that is too large.

    Raises:
        ValueError: If the value is out of its range.
        TypeError: If it is no real number, such as "1e-3" from a configuration file.
    """
    if isinstance(value, Tensor):
        if value.numel() != 1:
            shape = tuple(value.shape)
            raise ValueError(f"Tensor {name} must be 1-element, not of shape {shape}")
        value = value.item()
    if not hasattr(value, "__float__"):
        cure = f": write float({value!r})" if isinstance(value, str) else ""
        raise TypeError(f"{name} must be a number, not the {type(value).__name__} {value!r}{cure}")
    if most < math.inf:
        allowed = f"from 0 to {most}"
    elif below < math.inf:
        allowed = f"0 or more and less than {below}"
    else:
        allowed = "0 or more, and finite"
    if not (0 <= float(value) <= most and float(value) < below):  # written so that NaN fails too
        raise ValueError(f"Invalid {words}: {value}; {name} must be {allowed}")


def check_variants(options: dict[str, Any], optimizer: str) -> None:
    """Refuse the variants of torch's optimizers that a reference does not have.

    Raises:
        ValueError: For `fused`, for `capturable`, and for `foreach` with `differentiable`.
    """
    if options.get("fused"):
        raise ValueError(
            f"companion.{optimizer} has no fused=True: that is the whole update in one compiled "
            "kernel, with no line to read and a rounding of its own. "
            f"Leave it out, or use torch.optim.{optimizer}"
        )
    if options.get("capturable"):
        raise ValueError(
            f"companion.{optimizer} has no capturable=True: that is for CUDA graphs, keeps the "
            "step count on the device and rounds in another order. "
            f"Leave it out, or use torch.optim.{optimizer}"
        )
    if options.get("foreach") and options.get("differentiable"):
        raise ValueError(
            "foreach=True and differentiable=True cannot both be had: the foreach operations take "
            "the learning rate as a plain number, which has no gradient. Leave foreach out"
        )


def scalar(value: float | Tensor) -> float | Tensor:
    """A 1-element tensor without dimensions; a plain number as it is."""
    return value.squeeze() if isinstance(value, Tensor) else value


def number(value: float | Tensor) -> float | Tensor:
    """A plain number, also from a 1-element tensor, unless that tensor's own gradient is wanted."""
    if isinstance(value, Tensor):
        return value.squeeze() if value.requires_grad else value.item()
    return value if isinstance(value, int) else float(value)

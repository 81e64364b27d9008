"""Measuring networks again and again: what they read now, and what changed since the last time.

From simple to complex: `Measurement`, `_Seen` (one tensor as it was last seen), `Meter`.
"""

from __future__ import annotations

import contextlib
import math
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from companion.packs import SMALL, Pack, packs
from companion.probes import Reading, entries, has_values, read, read_all
from companion.records import State
from companion.tree import Tree
from companion.watched import Watched


@dataclass(frozen=True, slots=True)
class Measurement:
    """The state now, and the names of what has other values than at the measurement before."""

    state: State
    changed_gradients: tuple[str, ...]
    changed_parameters: tuple[str, ...]


class _Seen:
    """One tensor as it was last seen: who it was, its version, its reading, perhaps a copy.

    `careful` says that its memory may be written past its version counter, so that the copy must
    be compared after every line.
    """

    __slots__ = (
        "careful", "copy", "counts", "identity", "kind", "memory", "pack", "place", "pointer",
        "reading", "version",
    )  # fmt: skip

    def __init__(self, tensor: Tensor) -> None:
        self.kind = _kind(tensor)
        self.reading: Reading | None = None
        self.copy: tuple[Tensor, ...] | None = None  # of a large tensor
        self.pack: Pack | None = None  # or where the copy of a small one is
        self.place, self.pointer = 0, -2
        self.careful = False
        self.renew(tensor)

    def renew(self, tensor: Tensor) -> None:
        """Note which object this is, its version and its address."""
        self.identity, before = id(tensor), self.pointer
        try:
            # Of the memory, not of the tensor: swap_tensors refuses one with weak references.
            self.memory: Callable[[], object] = weakref.ref(tensor.untyped_storage())
            self.version, self.pointer, self.counts = tensor._version, tensor.data_ptr(), True
        except (RuntimeError, NotImplementedError):  # sparse, or made in inference mode
            self.memory, self.version, self.pointer, self.counts = _nothing, -1, -1, False
        if self.pointer != before and not (self.counts and _owns_its_memory(tensor)):
            self.careful = True

    @property
    def has_copy(self) -> bool:
        """Whether there is a copy to compare with."""
        return self.copy is not None or self.pack is not None

    def keep(self, tensor: Tensor) -> None:
        """Keep a copy, if there is none."""
        if not self.has_copy:
            with torch.no_grad():
                self.copy = tuple(part.clone() for part in entries(tensor))

    def keeps(self, tensor: Tensor) -> None:
        """A new reading: keep a copy of the values where one is needed, drop the old one."""
        self.copy = self.pack = None
        if self.careful or self._is_told_by_its_copy():
            self.keep(tensor)

    def drop(self) -> None:
        """Keep no copy of a large tensor."""
        if not self._is_told_by_its_copy():
            self.copy = None

    def _is_told_by_its_copy(self) -> bool:
        """Whether the reading alone would not do."""
        return _hides(self.reading) or bool(self.kind[2].numel() <= SMALL)

    def is_untouched(self, tensor: Tensor) -> bool:
        """The same object at the same address with the same version: no counted write."""
        return (
            self.identity == id(tensor)
            and self.memory() is not None
            and tensor._version == self.version
            and tensor.data_ptr() == self.pointer
        )

    def has_values_of(self, tensor: Tensor) -> bool:
        """Compare with the copy; without one, it cannot be said."""
        if _kind(tensor) != self.kind:
            return False
        if self.pack is not None:
            return _same_values(tensor.detach().reshape(-1), self.pack.entries(self.place))
        return self.copy is not None and all(map(_same_values, entries(tensor), self.copy))


_Seens = dict[str, _Seen]


class Meter:
    """Measures the watched networks: after each line, what they read and what changed.

    A tensor counts as unchanged where its version counter, its address and the object stand
    still. A write through `.data` does not move the counter, so before code that could write so
    (see `companion.writes`) `guard` keeps copies to compare with. A write that is counted has
    changed something if the reading is another one, to the last bit, or, for a tensor of at most
    1024 entries, if any entry is.
    """

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._tree = Tree(watched)
        self._gradients: _Seens = {}
        self._parameters: _Seens = {}
        self._guarded = self._aliased = False
        self._doubted: set[str] = set()
        self._last_pack: Pack | None = None
        self._state = State({}, {})
        self._flags: tuple[Any, ...] = ()
        self._scale_mark: tuple[int, int] | None = None
        self._scale_now: float | None = None
        self.measure()
        self._guarded = True
        self._relax()  # something may hold an alias already

    @property
    def state(self) -> State:
        """The state at the last measurement."""
        return self._state

    @property
    def parameters(self) -> Mapping[str, nn.Parameter]:
        """The parameters, by name, as they were at the last measurement."""
        return self._tree.parameters

    def doubt(self, names: Iterable[str]) -> None:
        """Read these parameters and their gradients again, whatever their version says."""
        self._doubted.update(names)

    def guard(self) -> None:
        """Keep a copy of all that is unchanged so far: the code to come could write uncounted."""
        if self._guarded:
            return
        self._guarded = True
        with _without_modes():
            for tensor, seen in self._pairs():
                if not seen.careful and seen.is_untouched(tensor):
                    seen.keep(tensor)
                    seen.careful = True

    def _pairs(self) -> Iterator[tuple[Tensor, _Seen]]:
        for name, p in self._tree.parameters.items():
            for tensor, seens in ((p.grad, self._gradients), (p, self._parameters)):
                if tensor is not None and name in seens:
                    yield tensor, seens[name]

    def measure(self) -> Measurement:
        """Read the networks; the first time, everything that is there counts as changed."""
        with _without_modes():
            return self._measure()

    def _measure(self) -> Measurement:
        rewalked = self._tree.refresh()
        parameters = self._tree.parameters
        # Asked for anew each time: `.grad` is another object after zero_grad and backward.
        gradients = {name: p.grad for name, p in parameters.items()}
        changed_gradients = self._look(gradients, self._gradients, "{}.grad".format)
        changed_parameters = self._look(parameters, self._parameters, str)
        if self._doubted:
            self._doubted = set()
        if self._guarded or self._aliased:
            self._relax()
        self._renew_state(bool(changed_gradients) or rewalked, bool(changed_parameters) or rewalked)
        return Measurement(self._state, changed_gradients, changed_parameters)

    def _look(
        self, tensors: Mapping[str, Tensor | None], seens: _Seens, call: Callable[[str], str]
    ) -> tuple[str, ...]:
        """See all tensors of one kind again; the names of those with other values."""
        missing: list[str] = [name for name in seens if tensors.get(name) is None] if seens else []
        suspects: list[tuple[str, Tensor]] = []
        for name, tensor in tensors.items():
            if tensor is None:
                continue
            seen = seens.get(name)
            # `is_untouched`, written out: this is where a line without effect spends its time.
            if (
                seen is None
                or seen.careful
                or name in self._doubted
                or seen.identity != id(tensor)
                or seen.memory() is None
                or tensor._version != seen.version
                or tensor.data_ptr() != seen.pointer
            ):
                suspects.append((name, tensor))
        if not suspects and not missing:
            return ()
        changed = set(missing)
        for name in missing:
            del seens[name]
        small: dict[tuple[torch.dtype, torch.device], list[tuple[str, Tensor]]] = {}
        large: list[tuple[str, Tensor]] = []
        for name, tensor in suspects:
            if not has_values(tensor):
                if seens.pop(name, None) is not None:
                    changed.add(name)
            elif packs(tensor):
                small.setdefault((tensor.dtype, tensor.device), []).append((name, tensor))
            else:
                large.append((name, tensor))
        for group in small.values():
            changed.update(self._look_at_small(group, seens))
        changed.update(self._look_at_large(large, seens, call))
        order = dict.fromkeys([*tensors, *missing])
        return tuple(name for name in order if name in changed)

    def _look_at_small(self, named: Sequence[tuple[str, Tensor]], seens: _Seens) -> list[str]:
        """All small tensors at once; those that changed."""
        tensors = [tensor for _, tensor in named]
        lasts = [seens.get(name) for name, _ in named]
        packed = [last.pack for last in lasts if last is not None and last.pack is not None]
        new = self._last_pack = Pack(tensors, like=packed[0] if packed else self._last_pack)
        readings = new.readings(tensors)
        changed = []
        for i, (name, tensor) in enumerate(named):
            last = lasts[i]
            # Other readings, other values. The same reading may be a permutation.
            alike = last is not None and (last.reading == readings[i] or _hides(readings[i]))
            if last is not None and alike and last.has_values_of(tensor):
                last.renew(tensor)
                continue
            seen = self._seen_anew(seens, name, tensor)
            seen.copy, seen.pack, seen.place, seen.reading = None, new, i, readings[i]
            changed.append(name)
        return changed

    def _look_at_large(
        self, named: Sequence[tuple[str, Tensor]], seens: _Seens, call: Callable[[str], str]
    ) -> list[str]:
        """Large and odd tensors, one by one; those that changed."""
        unsure: list[tuple[str, Tensor]] = []
        for name, tensor in named:
            last = seens.get(name)
            try:
                if last is not None and last.has_values_of(tensor):
                    last.renew(tensor)
                    continue
            except (RuntimeError, NotImplementedError) as error:
                raise _unreadable(call(name), tensor, error) from error
            unsure.append((name, tensor))
        changed = []
        for (name, tensor), reading in zip(unsure, _read(unsure, call), strict=True):
            last = seens.get(name)
            equal = last is not None and last.reading == reading and not last.has_copy
            if last is not None and equal and last.kind == _kind(tensor):
                last.renew(tensor)
                if last.careful:
                    last.keep(tensor)
                continue
            changed.append(name)
            seen = self._seen_anew(seens, name, tensor)
            seen.reading = reading
            seen.keeps(tensor)
        return changed

    @staticmethod
    def _seen_anew(seens: _Seens, name: str, tensor: Tensor) -> _Seen:
        """The `_Seen` of a tensor that was written, or of a new one in its place."""
        last = seens.get(name)
        if last is not None and last.identity == id(tensor) and last.kind == _kind(tensor):
            last.renew(tensor)
            return last
        seen = seens[name] = _Seen(tensor)
        seen.careful |= last is not None and last.careful
        return seen

    def _relax(self) -> None:
        """Drop the copies of tensors whose memory nobody else holds (any more)."""
        self._aliased = False
        for tensor, seen in self._pairs():
            if not self._guarded and not seen.careful:
                continue
            if not seen.counts or not _owns_its_memory(tensor):
                continue  # never without its copy
            seen.careful = _is_shared(tensor)
            self._aliased |= seen.careful
            if seen.careful:
                seen.keep(tensor)
            else:
                seen.drop()
        self._guarded = False

    def _renew_state(self, gradients: bool, parameters: bool) -> None:
        """Build the state anew, in the parts that are not as they were."""
        tree, watched = self._tree, self._watched
        requires_grad = [p.requires_grad for p in tree.parameters.values()]
        training = [m.training for m in tree.modules.values()]
        rates = [
            tuple(_number(group["lr"]) for group in optimizer.param_groups if "lr" in group)
            for optimizer in watched.optimizers.values()
        ]
        flags = (requires_grad, training, rates, self._scale())
        if not gradients and not parameters and flags == self._flags:
            return
        if not self._flags:  # the first time
            gradients = parameters = True
        last, names = self._state, tree.parameters
        self._state = State(
            _readings(names, self._gradients) if gradients else last.gradients,
            _readings(names, self._parameters) if parameters else last.parameters,
            _zip(last.requires_grad, names, requires_grad),
            _zip(last.training, tree.modules, training),
            _zip(last.learning_rates, watched.optimizers, rates),
            flags[-1],
        )
        self._flags = flags

    def _scale(self) -> float | None:
        """The GradScaler's factor, fetched only when its tensor was written."""
        scaler = self._watched.scaler
        if scaler is None or not scaler.is_enabled():
            return None
        tensor = getattr(scaler, "_scale", None)
        mark = (id(tensor), -1 if tensor is None else tensor._version)
        if mark != self._scale_mark:
            self._scale_mark, self._scale_now = mark, float(scaler.get_scale())
        return self._scale_now


def _number(rate: float | Tensor) -> float:
    return float(rate.detach() if isinstance(rate, Tensor) else rate)


def _zip(last: Mapping[str, Any], names: Iterable[str], values: list[Any]) -> Mapping[str, Any]:
    """Values by name: the mapping there was, if it says the same."""
    now = dict(zip(names, values, strict=True))
    return last if now == last else now


def _read(named: Sequence[tuple[str, Tensor]], call: Callable[[str], str]) -> list[Reading | None]:
    try:
        return read_all([tensor for _, tensor in named])
    except (RuntimeError, NotImplementedError):
        for name, tensor in named:  # which of them was it?
            try:
                read(tensor)
            except (RuntimeError, NotImplementedError) as error:
                raise _unreadable(call(name), tensor, error) from error
        raise


def _without_modes() -> contextlib.AbstractContextManager[object]:
    """What counts or rewrites the reader's calls of torch is not to see ours."""
    if not torch._C._len_torch_function_stack() and not torch._C._len_torch_dispatch_stack():
        return contextlib.nullcontext()
    stack = contextlib.ExitStack()
    stack.enter_context(torch._C.DisableTorchFunction())
    stack.enter_context(_disable_current_modes())
    return stack


def _kind(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.layout, tensor.dtype, tensor.shape, tensor.device


def _hides(reading: Reading | None) -> bool:
    """With a NaN, or with squares too large for a float, sum and norm say nothing of the rest."""
    return reading is not None and not math.isfinite(reading.norm)


def _owns_its_memory(tensor: Tensor) -> bool:
    """False for a view into a larger storage, such as a gradient in a bucket of DDP."""
    if tensor.layout != torch.strided:
        return False
    try:
        return tensor.untyped_storage().nbytes() == tensor.nbytes
    except (RuntimeError, NotImplementedError):
        return False


def _nothing() -> None:
    """A weak reference to nothing."""


def _holders(tensor: Tensor) -> tuple[int, int]:
    """How many tensors hold the memory, and how many references its Python object has."""
    storage = tensor.untyped_storage()
    return int(torch._C._storage_Use_Count(storage._cdata)), sys.getrefcount(storage)


_ALONE = _holders(torch.empty(1))


def _is_shared(tensor: Tensor) -> bool:
    """Whether something else holds the memory: an alias made by `.data`, another process."""
    try:
        if any(now > alone for now, alone in zip(_holders(tensor), _ALONE, strict=True)):
            return True
        return tensor.device.type == "cpu" and tensor.is_shared()  # a GPU's memory always "is"
    except (RuntimeError, NotImplementedError):
        return True


def _same_values(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype or a.device != b.device:
        return False
    if a.is_complex():
        a, b = torch.view_as_real(a), torch.view_as_real(b)
    if a.is_floating_point() and a.itemsize == 1:
        a, b = a.view(torch.uint8), b.view(torch.uint8)  # torch.equal does not know float8
    if torch.equal(a, b):
        return True
    # NaN is not equal to itself, yet a NaN that stays is no change.
    return bool(((a == b) | (a.isnan() & b.isnan())).all())


def _readings(names: Mapping[str, object], seens: _Seens) -> dict[str, Reading | None]:
    return {name: seens[name].reading if name in seens else None for name in names}


def _unreadable(name: str, tensor: Tensor, error: Exception) -> TypeError:
    kind = f"{type(tensor).__name__}, {tensor.dtype}, {tensor.layout}, {tensor.device}"
    return TypeError(f"cannot read {name} ({kind}): {error}")

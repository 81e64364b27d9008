"""All gradients, or all parameters, as they were last seen; which of them have other values now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from companion.isolation.wall import is_ours
from companion.records.reading import Reading
from companion.tracing.measure.glance import Glance
from companion.tracing.measure.pack import Pack, packs
from companion.tracing.measure.read import read
from companion.tracing.measure.read_all import read_all
from companion.tracing.measure.seen import Room, Seen, kind_of
from companion.tracing.measure.values import has_values, is_lazy


class Seens(dict[str, Seen]):
    """Tensors of one kind as they were last seen, by the name of their parameter.

    Args:
        room: How much memory copies may still take.
        what: What an error calls one of them, "{}.grad".
    """

    def __init__(self, room: Room, what: str) -> None:
        super().__init__()
        self._room, self._what = room, what
        self._last_pack: Pack | None = None
        self._glance: Glance | None = None
        self._parted: dict[str, Seen] = {}

    def part(self, name: str) -> None:
        """There is none of this name any more: perhaps until the next backward."""
        self._parted[name] = seen = self.pop(name)
        seen.forget()

    def stand(self, tensors: Sequence[Tensor | None]) -> bool:
        """Whether all stand as they were seen: no need to look."""
        return self._glance is not None and self._glance.holds(tensors)

    def remember(self, tensors: Mapping[str, Tensor | None]) -> None:
        """All have just been looked at: the next time a glance may do."""
        seens = [self.get(name) for name, tensor in tensors.items() if tensor is not None]
        sure = [seen for seen in seens if seen is not None and seen.counts and not seen.careful]
        self._glance = None
        if len(sure) == len(seens):
            self._glance = Glance([*tensors.values()], [seen.memory for seen in sure])

    def mistrust(self) -> None:
        """Look at each the next time."""
        self._glance = None

    def look(self, names: Sequence[str], tensors: Mapping[str, Tensor | None]) -> list[str]:
        """Read these; which of them have other values."""
        changed: list[str] = []
        small: dict[object, list[str]] = {}  # by dtype and device
        large: list[tuple[str, Tensor]] = []
        for name in names:
            tensor = tensors[name]
            if tensor is None:
                continue
            if not has_values(tensor):
                never = tensor.is_meta or is_lazy(tensor)
                if never and self.pop(name, None) is not None:
                    changed.append(name)  # else its memory is freed for now
            elif packs(tensor):
                kind = tensor.dtype if tensor.is_cpu else (tensor.dtype, tensor.device)
                small.setdefault(kind, []).append(name)
            else:
                large.append((name, tensor))
        for group in small.values():
            changed += self._look_at_small(group, [tensors[name] for name in group])
        return changed + self._look_at_large(large)

    def _look_at_small(self, names: Sequence[str], tensors: Sequence[Any]) -> list[str]:
        """All small tensors at once; those that changed."""
        lasts = list(map(self.get, names))
        packed = [last.pack for last in lasts if last is not None and last.pack is not None]
        new = self._last_pack = Pack(tensors, like=packed[0] if packed else self._last_pack)
        whole = _all_of(packed[0], lasts) if len(packed) == len(names) else []
        if whole and packed[0].equals(new) and all(map(Seen.is_of_kind, whole, tensors)):
            for seen, tensor in zip(whole, tensors, strict=True):
                if not seen.is_untouched(tensor):
                    seen.renew(tensor)
            return []
        readings = new.readings(tensors)
        changed = []
        for i, (name, tensor, last, reading) in enumerate(
            zip(names, tensors, lasts, readings, strict=True)
        ):
            # Other readings, other values. The same reading may be a permutation.
            if last is not None and last.may_read(reading) and last.has_values_of(tensor):
                last.renew(tensor)
                continue
            seen = self._seen_anew(name, tensor)
            seen.forget()
            seen.pack, seen.place, seen.reading = new, i, reading
            changed.append(name)
        return changed

    def _look_at_large(self, named: Sequence[tuple[str, Tensor]]) -> list[str]:
        """Large and odd tensors, one by one; those that changed."""
        unsure: list[tuple[str, Tensor]] = []
        for name, tensor in named:
            last = self.get(name)
            try:
                if last is not None and last.has_values_of(tensor):
                    last.renew(tensor)
                    continue
            except (RuntimeError, NotImplementedError) as error:
                if not is_ours(error):
                    raise
                raise self._unreadable(name, tensor, error) from error
            unsure.append((name, tensor))
        changed = []
        for (name, tensor), reading in zip(unsure, self._read(unsure), strict=True):
            last = self.get(name)
            equal = last is not None and last.reading == reading and not last.has_copy
            if last is not None and equal and last.kind == kind_of(tensor):
                last.renew(tensor)
                if last.careful:
                    last.keep(tensor)
                continue
            changed.append(name)
            seen = self._seen_anew(name, tensor)
            seen.reading = reading
            seen.keeps(tensor)
        return changed

    def _seen_anew(self, name: str, tensor: Tensor) -> Seen:
        """The `Seen` of a tensor that was written, or of a new one in its place."""
        last = self.get(name)
        if last is not None and last.identity == id(tensor) and last.kind == kind_of(tensor):
            last.renew(tensor)
            return last
        parted = self._parted.pop(name, None)
        if last is None and parted is not None and parted.is_of_kind(tensor):
            parted.begin(tensor)
            self[name] = parted
            return parted
        seen = self[name] = Seen(tensor, self._room)
        if last is not None:
            last.forget()
            seen.careful |= last.careful
        return seen

    def _read(self, named: Sequence[tuple[str, Tensor]]) -> list[Reading | None]:
        try:
            return read_all([tensor for _, tensor in named], sure=True)
        except (RuntimeError, NotImplementedError) as failure:
            if not is_ours(failure):
                raise
            for name, tensor in named:  # which of them was it?
                try:
                    read(tensor)
                except (RuntimeError, NotImplementedError) as error:
                    if not is_ours(error):
                        raise
                    raise self._unreadable(name, tensor, error) from error
            raise

    def _unreadable(self, name: str, tensor: Tensor, error: Exception) -> TypeError:
        kind = f"{type(tensor).__name__}, {tensor.dtype}, {tensor.layout}, {tensor.device}"
        return TypeError(f"cannot read {self._what.format(name)} ({kind}): {error}")


def _all_of(pack: Pack, seens: Sequence[Seen | None]) -> list[Seen]:
    """These, if their copies are all that a pack holds, in its order; else none."""
    if len(pack.lengths) != len(seens):
        return []
    mine = [s for i, s in enumerate(seens) if s is not None and s.pack is pack and s.place == i]
    return mine if len(mine) == len(seens) else []

"""Measuring networks again and again: what they read now, and what changed since the last time.

From simple to complex: `Measurement`, `Meter`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import Tensor

from companion.isolation.budget import Budget
from companion.isolation.wall import is_calm
from companion.records.line import State
from companion.records.reading import Reading
from companion.tracing.measure.flags import Flags
from companion.tracing.measure.memory import is_shared, owns_its_memory, storage_of
from companion.tracing.measure.secrets import Secrets
from companion.tracing.measure.seen import Room, Seen
from companion.tracing.measure.seens import Seens
from companion.tracing.measure.tree import Tree
from companion.tracing.measure.values import gradient_of, has_values, inside, is_plain
from companion.tracing.measure.watched import Watched


class Measurement(NamedTuple):
    """The state now, and the names of what has other values than at the measurement before."""

    state: State
    changed_gradients: tuple[str, ...]
    changed_parameters: tuple[str, ...]
    changed_buffers: tuple[str, ...] = ()
    changed_others: tuple[str, ...] = ()


class Meter:
    """Measures the watched networks: after each line, what they read and what changed.

    A tensor counts as unchanged where its version counter, its address and the object stand
    still. A write through `.data` does not move the counter, so before code that could write so
    (see `companion.tracing.code.uncounted`) `guard` keeps copies to compare with. A write that is
    counted has changed something if the reading is another one, to the last bit, or, for a tensor
    of at most 1024 entries, if any entry is. The same holds beyond `MOST_BYTES` of copies.

    A tensor whose memory was freed is as it was until it has memory again. One that only a type
    of somebody's own could read has no reading, and counts as changed where it was written; of a
    DTensor this process's shard is read.

    Args:
        watched: The networks.
        budget: How long keeping and comparing copies may take; beyond it a line that may write
            uncounted is not looked at.

    Attributes:
        overlooked: Whether that happened since it was last set to False.
    """

    def __init__(self, watched: Watched, budget: Budget | None = None) -> None:
        self._watched = watched
        self._tree = Tree(watched)
        self._budget = Budget(math.inf, 0) if budget is None else budget
        self._room = Room()
        self._gradients = Seens(self._room, "{}.grad")
        self._parameters = Seens(self._room, "{}")
        self._buffers = Seens(self._room, "{}")
        self._secrets = Secrets()
        self._guarded: dict[tuple[bool, str], None] = {}  # is it a gradient, whose
        self._doubted: set[str] = set()
        self._doubts_buffers = False
        self._state = State({}, {})
        self._none: Mapping[str, None] = MappingProxyType({})
        self._flags = Flags(watched)
        self._has_begun = False
        self.overlooked = False
        self.measure()
        self._guarded = dict.fromkeys((g, name) for _, _, g, name in self._pairs())
        self._relax()  # something may hold an alias already

    @property
    def state(self) -> State:
        """The state at the last measurement."""
        return self._state

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        """The parameters, by name, as they were at the last measurement."""
        return self._tree.parameters

    def doubt(self, names: Iterable[str]) -> None:
        """Read these parameters and their gradients again, whatever their version says."""
        self._doubted.update(names)

    def doubt_buffers(self) -> None:
        """Read the buffers again, whatever their versions say."""
        self._doubts_buffers = True

    def guard(self, tensors: Sequence[Tensor] | None = None) -> None:
        """Keep a copy of what is unchanged so far: the code to come could write uncounted.

        Args:
            tensors: What that code reaches for, if that is known: what shares no memory with
                these is left out.
        """
        if not is_calm():
            return
        self._doubts_buffers = True
        names = None if tensors is None else self._reached(tensors)
        if names is not None and not names:
            return
        if self._budget.is_spent:
            self.overlooked = True
            return
        with self._budget:
            for tensor, seen, is_gradient, name in self._pairs(names):
                if not seen.careful and has_values(tensor) and seen.is_untouched(tensor):
                    seen.keep(tensor)
                    seen.careful = True
                    (self._gradients if is_gradient else self._parameters).mistrust()
                    self._guarded[is_gradient, name] = None

    def _reached(self, tensors: Sequence[Tensor]) -> set[str]:
        """The parameters that, or whose gradients, share memory with one of these tensors."""
        names = self._tree.names
        found = {names[id(tensor)] for tensor in tensors if id(tensor) in names}
        others = [tensor for tensor in tensors if id(tensor) not in names and is_plain(tensor)]
        storages = [storage for storage in map(storage_of, others) if storage is not None]
        if storages:
            addresses = {storage.data_ptr() for storage in storages}
            for tensor, _, _, name in self._pairs():
                if name not in found:
                    mine = storage_of(tensor)
                    if mine is not None and mine.data_ptr() in addresses:
                        found.add(name)
        return found

    def _pairs(self, names: set[str] | None = None) -> Iterator[tuple[Tensor, Seen, bool, str]]:
        parameters = self._tree.parameters
        for name in parameters if names is None else names:
            p = parameters[name]
            for tensor, is_gradient in ((gradient_of(p), True), (p, False)):
                if tensor is not None and self._tree.has_odd:
                    tensor = inside(tensor)
                seen = (self._gradients if is_gradient else self._parameters).get(name)
                if tensor is not None and seen is not None:
                    yield tensor, seen, is_gradient, name

    def measure(self) -> Measurement:
        """Read the networks. While torch traces or transforms what runs, nothing is read."""
        if not is_calm():
            return Measurement(self._state, (), ())
        rewalked = self._tree.refresh()
        names: Mapping[str, Any] = self._tree.parameters
        parameters = [*names.values()]
        # Asked for anew each time: `.grad` is another object after zero_grad and backward.
        leaves = self._tree.has_leaves_only
        gradients = [p.grad if leaves else gradient_of(p) for p in parameters]
        secret: set[str] = set()
        if self._tree.has_odd:
            secret = self._secrets.look(dict(zip(names, gradients, strict=True)), names)
            gradients = [None if gradient is None else inside(gradient) for gradient in gradients]
            parameters = list(map(inside, parameters))
        new_gradients = self._look(names, gradients, self._gradients)
        new_parameters = self._look(names, parameters, self._parameters)
        new_buffers = self._look_at_buffers() if self._tree.buffers or self._buffers else {}
        if self._doubted:
            self._doubted = set()
        if self._guarded:
            self._relax()
        self._renew_state(bool(new_gradients), bool(new_parameters), bool(new_buffers), rewalked)
        if not self._has_begun:  # what is there when values can first be read is no line's doing
            self._has_begun = True
            return Measurement(self._state, (), ())
        if not (new_gradients or new_parameters or new_buffers or secret):
            return Measurement(self._state, (), ())
        return Measurement(
            self._state,
            self._changed(new_gradients, {name[:-5] for name in secret if name.endswith(".grad")}),
            self._changed(new_parameters, secret),
            tuple(n for n, known in new_buffers.items() if known and n not in self._tree.others),
            tuple(n for n, known in new_buffers.items() if known and n in self._tree.others),
        )

    def _look_at_buffers(self) -> dict[str, bool]:
        """A new one in the old one's place with the same values is no change."""
        names: Mapping[str, Any] = self._tree.buffers
        buffers = [*names.values()]
        if self._tree.has_odd:
            buffers = list(map(inside, buffers))
        if self._doubts_buffers:
            self._doubts_buffers = False
            self._doubted.update(names)
        new = self._look(names, buffers, self._buffers)
        return {name: new[name] for name in [*names, *new] if name in new} if new else new

    def _changed(self, new: Mapping[str, bool], secret: set[str]) -> tuple[str, ...]:
        """The names of what a line changed, in the order of the networks' parameters."""
        if not new and not secret:
            return ()
        order = dict.fromkeys([*self._tree.parameters, *new])
        return tuple(name for name in order if new.get(name) or name in secret)

    def _look(
        self, names: Iterable[str], tensors: Sequence[Tensor | None], seens: Seens
    ) -> dict[str, bool]:
        """See all tensors of one kind again: those with other values, and if a line did that."""
        if not self._doubted and seens.stand(tensors):
            return {}
        named = dict(zip(names, tensors, strict=True))
        changed = self._look_at_each(named, seens)
        seens.remember(named)
        return changed

    def _look_at_each(self, tensors: Mapping[str, Tensor | None], seens: Seens) -> dict[str, bool]:
        missing: list[str] = [name for name in seens if tensors.get(name) is None] if seens else []
        suspects: list[str] = []
        unsure: set[str] = set()
        for name, tensor in tensors.items():
            if tensor is None:
                continue
            seen = seens.get(name)
            if seen is None or name in self._doubted or not seen.is_untouched(tensor):
                suspects.append(name)
            elif seen.careful:
                suspects.append(name)
                unsure.add(name)
        if not suspects and not missing:
            return {}
        blind: set[str] = set()
        if not unsure:
            names = seens.look(suspects, tensors)
        elif self._budget.is_spent:
            self.overlooked = True
            for name in unsure:
                seens[name].blind = True
                seens[name].forget()
            known = [name for name in suspects if name not in unsure]
            names = seens.look(known, tensors)
        else:
            blind = {name for name in unsure if seens[name].blind}
            with self._budget:
                names = seens.look(suspects, tensors)
        changed = {name: name not in blind for name in names}
        for name in missing:
            seens.part(name)
            changed[name] = True
        return changed

    def _relax(self) -> None:
        """Drop the copies of tensors whose memory nobody else holds (any more)."""
        guarded, self._guarded = self._guarded, {}
        for tensor, seen, is_gradient, name in self._pairs({name for _, name in guarded}):
            if (is_gradient, name) not in guarded or not has_values(tensor):
                continue
            if not seen.counts or not owns_its_memory(tensor):
                continue  # never without its copy
            seen.careful = is_shared(tensor)
            if seen.careful:
                seen.keep(tensor)
                self._guarded[is_gradient, name] = None
                (self._gradients if is_gradient else self._parameters).mistrust()
            else:
                seen.drop()

    def _renew_state(
        self, gradients: bool, parameters: bool, buffers: bool, rewalked: bool
    ) -> None:
        """Build the state anew, in the parts that are not as they were."""
        flags, names, last = self._flags, self._tree.parameters, self._state
        others = flags.renew(self._tree)
        if not (gradients or parameters or buffers or others or rewalked):
            return
        if rewalked or not self._has_begun:
            gradients = parameters = buffers = others = True
        if others:
            flags.name(self._tree)
        self._state = State(
            self._gradients_by(names) if gradients else last.gradients,
            _readings(names, self._parameters) if parameters else last.parameters,
            flags.requires_grad,
            flags.training,
            flags.learning_rates,
            flags.scale,
            _readings(self._tree.networks_buffers(), self._buffers) if buffers else last.buffers,
            _readings(sorted(self._tree.others), self._buffers) if buffers else last.others,
        )

    def _gradients_by(self, names: Mapping[str, object]) -> Mapping[str, Reading | None]:
        """Their readings; the same mapping again and again where there is none."""
        if self._gradients:
            return _readings(names, self._gradients)
        if self._none.keys() != names.keys():
            self._none = MappingProxyType(dict.fromkeys(names))
        return self._none


def _readings(names: Iterable[str], seens: Seens) -> dict[str, Reading | None]:
    return {name: seens[name].reading if name in seens else None for name in names}

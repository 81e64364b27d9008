"""Which of the watched parameters other processes have, too: DDP's, FSDP's, DTensors.

Nothing is sent: a process group's members and a mesh are known in each process.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, distributed, nn

from companion.isolation.objects import attributes
from companion.records.parallel import Parallel
from companion.tracing.measure.modules import named_modules, named_parameters
from companion.tracing.measure.watched import Watched

_DDP = "torch.nn.parallel.distributed", "DistributedDataParallel"
_FSDP = "torch.distributed.fsdp.fully_sharded_data_parallel", "FullyShardedDataParallel"


def is_one_of_several() -> bool:
    """Whether the script has joined a process group with others in it."""
    return bool(
        distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size() > 1
    )


def is_shard(tensor: Tensor) -> bool:
    """Whether this process holds only a part of a tensor: it is a DTensor that is not a copy."""
    spec = _spec(tensor)
    return spec is not None and any(type(one).__name__ != "Replicate" for one in spec.placements)


def unseen(watched: Watched) -> list[str]:
    """A sentence, if only parts of parameters can be read in this process; else none."""
    nets = watched.networks.values()
    number = sum(is_shard(p) for net in nets for _, p in named_parameters(net))
    if not number:
        return []
    whose = f"{number} parameter{'s' if number > 1 else ''}"
    return [f"other processes' shards of {whose}: the numbers are those of this process's shard"]


def _spec(tensor: Tensor) -> Any:
    """What torch's own DTensor says of its parts; None of another tensor."""
    is_torchs = type(tensor).__module__ == "torch.distributed.tensor"
    return tensor._spec if is_torchs else None  # type: ignore[attr-defined]  # as in values.py


def parallel(watched: Watched) -> Parallel:
    """What these networks have in common with other processes.

    Example:
        >>> net = nn.Linear(2, 1)
        >>> parallel(Watched((net,), {"net": net}))
        Parallel(averaged=(), sharded=(), ranks=None, hooked=False, outermost=False)
    """
    if not is_one_of_several():
        return Parallel()
    names: dict[int, str] = {}
    averaged: dict[str, None] = {}
    sharded: dict[str, None] = {}
    together: set[tuple[int, ...] | None] = set()
    hooked = outermost = False
    for network, net in watched.networks.items():
        outermost |= _is(net, _DDP)
        for name, p in named_parameters(net):
            names.setdefault(id(p), watched.prefix(network) + name)
            if is_shard(p):
                sharded[names[id(p)]] = None
                together.add(_mesh(p))
        for _, module in named_modules(net):
            if _is(module, _FSDP):
                sharded |= {names[id(p)]: None for _, p in named_parameters(module)}
                together.add(_group(module))
            elif _is(module, _DDP):
                kept = attributes(module)
                ignored = kept.get("parameters_to_ignore")
                inner = dict.get(kept.get("_modules") or {}, "module")
                for name, p in named_parameters(inner) if inner is not None else ():
                    if not (type(ignored) is set and name in ignored):
                        averaged[names.get(id(p), name)] = None
                hooked |= bool(kept.get("_comm_hooks") or kept.get("_delay_all_reduce_params"))
                together.add(_group(module))
    return Parallel(
        tuple(name for name in averaged if name not in sharded),
        tuple(sharded),
        next(iter(together)) if len(together) == 1 else None,
        hooked,
        outermost,
    )


def _is(module: nn.Module, which: tuple[str, str]) -> bool:
    return any((kind.__module__, kind.__name__) == which for kind in type(module).__mro__)


def _group(module: nn.Module) -> tuple[int, ...] | None:
    """The ranks of a wrapper's process group."""
    group = attributes(module).get("process_group")
    if type(group) is not distributed.ProcessGroup:
        return None
    return tuple(sorted(distributed.get_process_group_ranks(group)))


def _mesh(tensor: Tensor) -> tuple[int, ...] | None:
    """The ranks of a DTensor's mesh, if that has one dimension."""
    mesh = _spec(tensor).mesh
    return tuple(sorted(map(int, mesh.mesh.tolist()))) if mesh.ndim == 1 else None

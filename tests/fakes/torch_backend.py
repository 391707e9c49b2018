"""An out-of-tree torch backend under a maker's name, over host memory, registered as PrivateUse1 from Python.

Tensors of the device wrap CPU tensors; every operation unwraps them, runs on the CPU and wraps the results. As with the
makers' own plugins, one such backend fits in a process.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch.utils._pytree import tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

FREE_BYTES = 1 << 30
CARD_BYTES = 64 << 20
"""Less than is free: the portable hash loop sizes its chunks by it, and a CPU is to finish them quickly."""


class Module:
    """``torch.musa`` or ``torch.mlu``, with what both have in common with ``torch.cuda``."""

    def __init__(self, name: str, card: str, count: int) -> None:
        self.name, self.card, self.count = name, card, count

    def is_available(self):
        return True

    def is_initialized(self):
        return True

    def device_count(self):
        return self.count

    def current_device(self):
        return 0

    def synchronize(self, device=None):
        assert torch.device(device).type == self.name

    def mem_get_info(self, device=None):
        return FREE_BYTES, FREE_BYTES

    def empty_cache(self):
        pass

    def get_device_properties(self, device):
        return SimpleNamespace(name=self.card, total_memory=CARD_BYTES, multi_processor_count=48)

    def manual_seed_all(self, seed):
        pass

    def _is_in_bad_fork(self):
        return False


class HostTensor(torch.Tensor):
    """A tensor of the device; ``raw`` is the CPU tensor behind it."""

    @staticmethod
    def __new__(cls, raw, device):
        return torch.Tensor._make_wrapper_subclass(
            cls, raw.size(), strides=raw.stride(), storage_offset=raw.storage_offset(), dtype=raw.dtype, device=device
        )

    def __init__(self, raw, device):
        self.raw = raw

    def __getitem__(self, index):
        # torch's C++ indexing by lists asserts in a Python backend.
        parts = index if isinstance(index, tuple) else (index,)
        if any(isinstance(part, list) for part in parts):
            return HostTensor(self.raw[index], self.device)
        return super().__getitem__(index)

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return run(operation, args, kwargs or {})


def run(operation, args, kwargs):
    """The operation on the CPU tensors behind its arguments."""
    name = torch._C._get_privateuse1_backend_name()
    wrappers = {}
    devices = [torch.device(kwargs["device"])] if kwargs.get("device") is not None else []

    def unwrap(value):
        if isinstance(value, HostTensor):
            wrappers[id(value.raw)] = value
            devices.append(value.device)
            return value.raw
        if isinstance(value, torch.device) and value.type == name:
            return torch.device("cpu")
        return value

    def wrap(value):
        if not isinstance(value, torch.Tensor) or isinstance(value, HostTensor) or not on_device:
            return value
        # In-place and out= operations return the tensor that they were given.
        wrapped = wrappers.get(id(value))
        return HostTensor(value, torch.device(name, device.index or 0)) if wrapped is None else wrapped

    args, kwargs = tree_map(unwrap, (args, kwargs))
    device = devices[0] if devices else torch.device(name, 0)
    on_device = device.type == name
    return tree_map(wrap, operation(*args, **kwargs))


def install(name: str, card: str, count: int = 1) -> torch.library.Library:
    """Register the backend; the library must be kept alive."""
    _setup_privateuseone_for_python_backend(name, backend_module=Module(name, card, count))
    library = torch.library.Library("_", "IMPL")
    library.fallback(lambda operation, *args, **kwargs: run(operation, args, kwargs), "PrivateUse1")
    return library

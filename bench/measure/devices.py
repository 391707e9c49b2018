"""Find the devices torch can compute on. No error is swallowed: a broken GPU never turns into a CPU in silence."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.measure import plugins
from bench.model import BenchError, Device, first_line, usable_cores

KINDS = ("cuda", "rocm", "musa", "mlu", "xpu", "mps", "cpu")

FOREIGN_MAKERS = {"MetaX": r"\bmetax\b", "Iluvatar": r"\biluvatar\b|^BI-V"}
"""Makers whose own builds of torch call their cards ``cuda``, with a pattern for the names of those cards."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The devices that a run uses and how they were chosen."""

    devices: tuple[Device, ...]
    how: str
    """Goes into every row: ``asked for``, or ``auto: …`` with the reason."""
    warning: str | None = None
    """Set where ``auto`` fell back to the CPU although the machine shows signs of a GPU."""


def choose(spec: str) -> Choice:
    """Turn ``--device`` into devices.

    ``auto`` takes every accelerator torch sees, else the CPU. ``cuda`` takes every CUDA device and ``cuda:1`` one;
    neither falls back.

    Raises:
        BenchError: the specification is unknown, or names a device that is not there.
    """
    if spec == "auto":
        found = accelerators()
        if found:
            return Choice(tuple(found), f"auto: torch sees {len(found)} accelerator{'s' if len(found) > 1 else ''}")
        why = _why_no_accelerator()
        return Choice((cpu(),), f"auto: {why}, so the CPU", warning=_signs_of_a_gpu(why))
    match = re.fullmatch(rf"({'|'.join(KINDS)})(?::(\d+))?", spec)
    if match is None:
        raise BenchError(
            f"{spec!r} is not a device", f"use auto, {', '.join(KINDS)}, or one of them with an index such as cuda:1"
        )
    kind, index = match[1], match[2]
    if kind == "cpu":
        if index not in (None, "0"):
            raise BenchError(f"there is no {spec}: all cores are one device", "use --device cpu")
        return Choice((cpu(),), "asked for")
    found = [device for device in accelerators() if device.kind == kind]
    if index is not None:
        found = [device for device in found if device.index == int(index)] if found else []
    if not found:
        seen = ", ".join(device.label for device in accelerators())
        raise BenchError(
            f"there is no device {spec}: {f'torch sees {seen}' if seen else _why_no_accelerator(kind)}",
            _how_to_get(kind),
        )
    return Choice(tuple(found), "asked for")


def accelerators() -> list[Device]:
    """Every accelerator that torch's accelerator API reports, in torch's order.

    Raises:
        BenchError: torch names an accelerator but cannot read its properties (a broken driver, a lost device).
    """
    loaded = plugins.load()
    import torch

    accelerator = torch.accelerator.current_accelerator()
    if accelerator is None or not torch.accelerator.is_available():
        return []
    kind = accelerator.type
    try:
        found = [_describe(kind, index) for index in range(torch.accelerator.device_count())]
    except RuntimeError as error:
        raise BenchError(
            f"torch sees a {kind} device but cannot use it ({first_line(error)})",
            "fix the driver, or use --device cpu",
        ) from error
    plugin = next((each.label for each in loaded if each.kind == kind and each.loaded), None)
    return [replace(device, runtime=device.runtime or plugin) for device in found]


def cpu() -> Device:
    """The CPU as one device; ``cores`` counts the logical cores that this process may use."""
    import psutil

    return Device(
        kind="cpu",
        index=0,
        name=_cpu_name(),
        cores=usable_cores(),
        memory_bytes=psutil.virtual_memory().total,
        arch=platform.machine(),
        driver=f"{platform.system()} {platform.release()}",
    )


def _describe(kind: str, index: int) -> Device:
    import torch

    if kind == "cuda":
        card = torch.cuda.get_device_properties(index)
        hip = torch.version.hip
        maker = next((name for name, words in FOREIGN_MAKERS.items() if re.search(words, card.name, re.I)), None)
        nvidia = not hip and maker is None
        runtime = f"HIP {hip}" if hip else f"CUDA {torch.version.cuda}"
        return Device(
            kind="rocm" if hip else "cuda",
            index=index,
            name=card.name,
            uuid=_gpu_uuid(card) if nvidia else None,
            pci_bus_id=_pci_bus_id(card),
            driver=_nvidia_driver() if nvidia else None,
            runtime=f"{maker}'s {runtime}" if maker else runtime,
            cores=card.multi_processor_count,
            memory_bytes=card.total_memory,
            # A compute capability describes NVIDIA's architectures only.
            arch=getattr(card, "gcnArchName", None) if hip else f"sm_{card.major}{card.minor}" if nvidia else None,
            maker=maker,
        )
    # Other vendors' modules follow torch.cuda's shape; what one of them lacks stays unknown.
    module = getattr(torch, kind)
    properties: Any = module.get_device_properties(index) if hasattr(module, "get_device_properties") else None
    memory = getattr(properties, "total_memory", None)
    if kind == "mps":
        memory = torch.mps.recommended_max_memory()
    return Device(
        kind=kind,
        index=index,
        name=getattr(properties, "name", None) or kind.upper(),
        uuid=_optional_text(getattr(properties, "uuid", None)),
        driver=_optional_text(getattr(properties, "driver_version", None)),
        cores=getattr(properties, "multi_processor_count", None) or getattr(properties, "gpu_eu_count", None),
        memory_bytes=memory,
    )


def _gpu_uuid(properties: Any) -> str | None:
    """NVML writes ``GPU-`` before what torch prints."""
    text = _optional_text(getattr(properties, "uuid", None))
    return text if text is None or text.startswith(("GPU-", "MIG-")) else f"GPU-{text}"


def _pci_bus_id(properties: Any) -> str | None:
    try:
        return f"{properties.pci_domain_id:08x}:{properties.pci_bus_id:02x}:{properties.pci_device_id:02x}.0"
    except AttributeError:
        return None


def _nvidia_driver() -> str | None:
    """Driver version through NVML; None where the library is not there (the run needs it only as a label)."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        return str(pynvml.nvmlSystemGetDriverVersion())
    finally:
        pynvml.nvmlShutdown()


def _why_no_accelerator(kind: str | None = None) -> str:
    if problem := plugins.problems(plugins.load(), kind):
        return problem
    import torch

    if torch.accelerator.current_accelerator() is None:
        return f"this build of torch ({torch.__version__}) knows no accelerator"
    return f"torch {torch.__version__} sees no accelerator on this machine"


def _how_to_get(kind: str) -> str:
    """What to do about a kind of device that is not there."""
    if kind not in plugins.PLUGINS:
        return "run `bitwatt devices` to see what there is, or use --device cpu"
    package = plugins.PLUGINS[kind]
    if any(each.kind == kind for each in plugins.load()):
        return f"run `python -c 'import torch, {package}'` without {plugins.AUTOLOAD} set, and fix what it reports"
    return f"install the maker's torch plugin, {package}, or use --device cpu"


def _signs_of_a_gpu(why: str) -> str | None:
    if plugins.problems(plugins.load()):
        return f"{why}: this run measures the CPU"
    signs = [path for path in ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/kfd") if Path(path).exists()]
    if not signs:
        return None
    return f"{signs[0]} suggests a GPU, but {why}: this run measures the CPU"


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Hardware", "cpu model") and value.strip():
                return " ".join(value.split())
    return platform.processor() or platform.machine()


def _optional_text(value: Any) -> str | None:
    return None if value is None else str(value)

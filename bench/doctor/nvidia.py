"""NVIDIA's parts: the driver, NVML and its permissions, torch's CUDA build, CuPy and its compiler."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.doctor.check import Result, attempt
from bench.model import BenchError, Device, Skip, first_line

DEVICE_FILE = Path("/dev/nvidiactl")
DRIVER_FILE = Path("/proc/driver/nvidia/version")


def checks() -> Iterator[Result]:
    """The driver first: without it the others do not apply."""
    yield from attempt("NVIDIA driver", _driver)
    yield from attempt("NVML permissions", _permissions)
    yield from attempt("torch with CUDA", _torch)
    yield from attempt("CuPy", _cupy)
    yield from attempt("CUDA headers and NVRTC", _headers)


def _driver() -> str:
    from bench.power import nvml, wsl

    try:
        nvml.initialise()
    except BenchError as error:
        if not (DRIVER_FILE.exists() or DEVICE_FILE.exists() or wsl.has_gpu()):
            raise Skip("there is no NVIDIA driver on this machine", "") from error
        raise
    import pynvml

    return f"{pynvml.nvmlSystemGetDriverVersion()}, {pynvml.nvmlDeviceGetCount()} card(s)"


def _present() -> None:
    """Raise :class:`Skip` on a machine without an NVIDIA card."""
    try:
        _driver()
    except Skip:
        raise
    except BenchError as error:
        raise Skip(f"NVML does not answer ({error.message})", "") from error


def _permissions() -> str:
    _present()
    import pynvml

    readable = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        card = pynvml.nvmlDeviceGetHandleByIndex(index)
        for name, read in (
            ("power", pynvml.nvmlDeviceGetPowerUsage),
            ("energy counter", pynvml.nvmlDeviceGetTotalEnergyConsumption),
        ):
            try:
                read(card)
                readable.append(f"card {index}: {name}")
            except pynvml.NVMLError as error:
                if error.value == pynvml.NVML_ERROR_NO_PERMISSION:
                    raise BenchError(
                        f"card {index} does not let this user read its {name}",
                        "run as root; in a container set NVIDIA_DRIVER_CAPABILITIES=utility,compute",
                    ) from error
    return ", ".join(readable) or "no card reports power"


def _torch() -> str:
    _present()
    import torch

    if torch.version.cuda is None:
        raise BenchError(
            f"this torch ({torch.__version__}) is built without CUDA", "run: python -m bench.install, or make setup"
        )
    if not torch.cuda.is_available():
        raise BenchError(
            f"torch {torch.__version__} (CUDA {torch.version.cuda}) sees no card",
            "install the build that fits the driver: python -m bench.install, or make setup",
        )
    return f"{torch.__version__}, CUDA {torch.version.cuda}, {torch.cuda.device_count()} card(s)"


def _device() -> Device:
    """A card as far as choosing CuPy's package needs it."""
    import pynvml

    return Device("cuda", 0, "NVIDIA card", driver=str(pynvml.nvmlSystemGetDriverVersion()))


def _cupy() -> str:
    _present()
    from bench.workloads.hashing.cuda_device import import_cupy

    return str(import_cupy(_device()).__version__)


def _headers() -> str:
    _present()
    from bench.workloads.hashing.cuda_device import cupy_package

    try:
        from cuda.pathfinder import find_nvidia_header_directory

        folder = find_nvidia_header_directory("cudart")
        compiler = find_nvidia_header_directory("nvrtc")
    except Exception as error:
        raise BenchError(
            f"the CUDA headers cannot be looked for ({first_line(error)})",
            f"run: pip install {cupy_package(_device())!r}",
        ) from error
    if folder is None or compiler is None:
        raise BenchError("the CUDA headers were not found", f"run: pip install {cupy_package(_device())!r}")
    return str(folder)

"""PowerMizer and adaptive TGP as the driver's structures hold them."""

from __future__ import annotations

from typing import Any

import pynvml
import pytest

from bench.power import nvml_modes


def answering(code: int, **values: int) -> Any:
    """A function of NVML that fills the structure behind a pointer."""

    def call(handle: object, pointer: Any) -> int:
        assert handle == "card"
        for name, value in values.items():
            setattr(pointer._obj, name, value)
        return code

    return call


@pytest.mark.parametrize(
    ("mode", "name"),
    [(0, "adaptive"), (1, "prefer maximum performance"), (3, "prefer consistent performance"), (9, "9")],
)
def test_power_mizer_is_named(mode: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlDeviceGetPowerMizerMode_v1", answering(0, currentMode=mode, mode=2))
    assert nvml_modes.power_mizer("card") == name


def test_a_card_without_power_mizer_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = answering(pynvml.NVML_ERROR_NOT_SUPPORTED)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetPowerMizerMode_v1", refused)
    with pytest.raises(pynvml.NVMLError):
        nvml_modes.power_mizer("card")


@pytest.mark.parametrize("status", [0, 1])
def test_adaptive_tgp_is_what_is_in_force_not_what_was_asked(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = answering(0, enablementStatus=status, inBandEnableRequest=1 - status)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetAdaptiveTgpModeInfo_v1", found)
    assert nvml_modes.adaptive_tgp("card") == bool(status)


@pytest.mark.parametrize(
    ("enforced", "default", "asked", "who"),
    [
        (700_000, 700_000, 700_000, "default"),
        (350_200, 700_000, 350_000, "software"),
        (500_000, 700_000, 700_000, "elsewhere"),
        (500_000, 700_000, None, None),
        (None, 700_000, 700_000, None),
        (500_000, None, 500_000, None),
    ],
)
def test_who_set_the_limit(enforced: int | None, default: int | None, asked: int | None, who: str | None) -> None:
    assert nvml_modes.limit_by(enforced, default, asked) == who

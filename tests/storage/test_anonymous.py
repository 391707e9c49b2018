"""A shared result names neither host nor card, and still compares with its siblings."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bench import storage
from bench.model import BenchError, Device, Sensor, Window
from bench.storage.anonymous import Pseudonyms, salt_path
from tests.support import factory

UUID = factory.CARD_A.uuid


def shared(folder: Path, name: str, salt: bytes) -> Path:
    with storage.create(folder, name, salt=salt) as results:
        results.plan({"device": {"meter": f"nvml:{UUID}"}, "host_label": "secret-host", "list": [UUID]})
        device = Device("cuda", 0, "Example GPU A", uuid=UUID, pci_bus_id="0000:3b:00.0")
        number = results.sensor(Sensor("nvml", "gpu", sensor_id=UUID), device=device)
        record = factory.gemm(host="secret-host", metered=True)
        results.append(record, window=Window(0, 1, 1, 1.0), sensor=number)
        results.settle(results.records, first=1)
    return results.path


def test_no_name_is_in_either_file(tmp_path: Path) -> None:
    path = shared(tmp_path, "a", b"salt")
    text = path.read_text() + storage.sidecar_path(path).read_text()
    for name in (UUID, "secret-host", "3b:00"):
        assert name not in text
    (record,) = storage.read_records(path)
    assert record.meter_id == record.device_uuid
    sidecar = storage.read_sidecar(storage.sidecar_path(path))
    assert sidecar.sensors[0].sensor.sensor_id == record.device_uuid
    assert sidecar.windows[0].columns["host"] == record.host
    assert sidecar.plan is not None
    assert sidecar.plan["list"] == [record.device_uuid]


def test_siblings_agree_and_strangers_do_not(tmp_path: Path) -> None:
    one, two, other = (
        storage.read_records(shared(tmp_path, name, salt))[0]
        for name, salt in (("a", b"salt"), ("b", b"salt"), ("c", b"pepper"))
    )
    assert (one.host, one.device_uuid) == (two.host, two.device_uuid)
    assert one.host != other.host
    assert one.device_uuid != other.device_uuid
    assert one.host != one.device_uuid


def test_missing_stays_missing_and_zones_stay_zones() -> None:
    names = Pseudonyms(b"salt")
    assert names.of(None) is None
    sensor = Sensor("rapl", "package", sensor_id="package-0 dram")
    assert names.sensor(sensor) == sensor
    assert names.record(factory.gemm(factory.CARD_CPU)).device_uuid is None


def test_the_salt_is_made_once_and_for_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    salt = storage.local_salt()
    assert len(salt) == 32
    assert storage.local_salt() == salt
    assert stat.S_IMODE(salt_path().stat().st_mode) == 0o600
    salt_path().write_bytes(b"short")
    with pytest.raises(BenchError, match="is cut off"):
        storage.local_salt()
    with pytest.raises(BenchError, match="cannot write"):
        storage.local_salt(Path("/proc/nowhere/salt"))
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert salt_path() == tmp_path / "home" / ".local" / "state" / "bitwatt" / "salt"
    with pytest.raises(BenchError, match=f"cannot read {tmp_path}"):
        storage.local_salt(tmp_path)

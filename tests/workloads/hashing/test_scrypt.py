"""scrypt as a workload: its reference hash, its known headers, and where it runs."""

from __future__ import annotations

import pytest
from Crypto.Protocol.KDF import scrypt as reference_kdf

from bench.model import Device, Skip, Variant
from bench.workloads import load
from bench.workloads.hashing import scrypt, shares
from bench.workloads.hashing.options import HashingOptions

CPU = Device("cpu", 0, "x", memory_bytes=1 << 30)


def test_the_reference_agrees_with_rfc_7914():
    # RFC 7914, section 12: the first vector.
    assert reference_kdf(b"", b"", 64, N=16, r=1, p=1).hex() == (
        "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
        "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"
    )


@pytest.mark.parametrize(("name", "header"), scrypt.ALGORITHM.known)
def test_known_headers_meet_the_target_that_they_state(name, header):
    digest = shares.scrypt(header)
    bits = int.from_bytes(header[72:76], "little")
    target = (bits & 0xFFFFFF) << 8 * ((bits >> 24) - 3)
    assert int.from_bytes(digest, "little") <= target, name
    assert shares.leading_zero_bits(digest) >= scrypt.ALGORITHM.known_bits


def test_plan_and_devices():
    assert load("scrypt") is scrypt
    options = HashingOptions(isa="avx2")
    assert scrypt.plan(CPU, options) == [Variant("scrypt", options=options)]
    with pytest.raises(Skip, match="mps:0 is left out"):
        scrypt.build(Device("mps", 0, "x"), Variant("scrypt"))
    with pytest.raises(Skip, match="no torch-portable version"):
        scrypt.build(CPU, Variant("scrypt", options=HashingOptions(engine="portable")))

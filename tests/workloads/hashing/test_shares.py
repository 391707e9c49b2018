"""Shares prove work: re-hashing, the Poisson judgement, and what `bitwatt verify` reports."""

from __future__ import annotations

import csv
import dataclasses
import math

import pytest

from bench.model import METHOD_VERSION, SCHEMA_VERSION, Record, Share
from bench.model.job import rolled_name
from bench.workloads.hashing.job import HeaderRoll, candidate, reference_scan, rolled_reference, with_nonce
from bench.workloads.hashing.shares import (
    leading_zero_bits,
    poisson_p_value,
    rehash,
    sha256d,
    share_problem,
    verify_rows,
)
from tests.support.paths import DATA

BITS = 6
NONCES = 20_000


def real_headers() -> list[dict[str, str]]:
    with (DATA / "headers.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("row", real_headers(), ids=lambda row: row["height"])
def test_real_blocks_hash_to_their_published_hash(row):
    share = Share(row["header_hex"], int(row["nonce"]))
    digest = rehash(share)
    assert digest[::-1].hex() == row["block_hash"]
    assert leading_zero_bits(digest) == 256 - int(row["block_hash"], 16).bit_length() >= 32
    assert share_problem(share, 32) is None


def test_leading_zero_bits_reads_the_digest_from_its_last_byte():
    assert leading_zero_bits(bytes(32)) == 256
    assert leading_zero_bits(bytes(31) + b"\x80") == 0
    assert leading_zero_bits(b"\x01" + bytes(31)) == 255
    assert leading_zero_bits(bytes(30) + b"\x01\x00") == 15


@pytest.mark.parametrize("expected", [0.5, 3.0, 200.0, 12_000.0])
def test_the_p_value_is_twice_the_smaller_tail(expected):
    for found in {0, int(expected), int(expected * 1.05) + 1}:
        terms = [math.exp(k * math.log(expected) - expected - math.lgamma(k + 1)) for k in range(found + 400)]
        at_most, at_least = math.fsum(terms[: found + 1]), 1 - math.fsum(terms[:found])
        assert poisson_p_value(expected, found) == pytest.approx(
            min(1, 2 * min(at_most, at_least)), rel=1e-3, abs=1e-12
        )


def test_the_p_value_tells_half_the_work_and_double_from_all_of_it():
    assert poisson_p_value(200, 205) > 0.5
    assert poisson_p_value(200, 100) < 1e-12
    assert poisson_p_value(200, 400) < 1e-12
    assert poisson_p_value(0, 0) == 1.0
    assert poisson_p_value(0, 1) == 0.0
    assert poisson_p_value(float("nan"), 1) == 0.0
    assert poisson_p_value(float("inf"), 5) == 0.0
    assert poisson_p_value(0.5, 0) == pytest.approx(1.0)
    assert poisson_p_value(200, 0) < 1e-80


@pytest.mark.parametrize(
    ("share", "says"),
    [
        (Share("00" * 79, 0), "79 bytes"),
        (Share("zz" * 80, 0), "malformed"),
        (Share("00" * 80, 7), "not the one in its header"),
        (Share("00" * 80, 0), "leading zero bits"),
    ],
)
def test_bad_shares_are_named(share, says):
    assert says in (share_problem(share, 16) or "")


def row_with_shares(seed: int = 1) -> tuple[Record, list[Share]]:
    header = HeaderRoll(seed).header(0)
    found = reference_scan(sha256d, header, BITS, 0, NONCES)
    shares = [Share(with_nonce(header, nonce).hex(), nonce) for nonce in found]
    expected = NONCES / 2**BITS
    row = Record(
        schema_version=SCHEMA_VERSION,
        method_version=METHOD_VERSION,
        run_id="r",
        started_utc="2026-01-01T00:00:00Z",
        harness_version="0",
        device_kind="cpu",
        device_name="x",
        device_index=0,
        workload="sha256d",
        implementation="c-test",
        native=True,
        repeat=seed,
        mode="smoke",
        window_s=2.0,
        launches=1,
        work=float(NONCES),
        work_unit="hash",
        rate_per_s=NONCES / 2.0,
        energy_j=20.0,
        work_per_j=NONCES / 20.0,
        power_mean_w=10.0,
        share_bits=BITS,
        shares_expected=expected,
        shares_found=len(shares),
        shares_p_value=poisson_p_value(expected, len(shares)),
        verified=True,
        valid=True,
    )
    return row, shares


ROW, SHARES = row_with_shares(1)
OTHER_ROW, OTHER_SHARES = row_with_shares(2)


def messages(rows, shares):
    return [(problem.row, problem.message) for problem in verify_rows(rows, shares)]


def test_honest_rows_have_no_problem():
    assert messages([ROW, OTHER_ROW], [SHARES, OTHER_SHARES]) == []


def rolled_row(versions: int, label: int) -> tuple[Record, list[Share]]:
    """A row of ``versions`` versions of a header, labelled as one of ``label``."""
    header, nonces = HeaderRoll(3).header(0), NONCES // versions
    pairs = rolled_reference(sha256d, header, BITS, 0, nonces, versions)
    shares = [Share(candidate(header, version, nonce).hex(), nonce) for version, nonce in pairs]
    name = rolled_name("c-test", label)
    return dataclasses.replace(ROW, implementation=name, shares_found=len(shares)), shares


@pytest.mark.parametrize("versions", [1, 2, 4, 8])
def test_honest_version_rolling_has_no_problem(versions):
    row, shares = rolled_row(versions, label=versions)
    assert messages([row], [shares]) == []


@pytest.mark.parametrize(
    ("versions", "label", "says"),
    [
        (4, 1, "the shares' headers have versions that c-test does not roll"),
        (8, 4, "the shares' headers have versions that c-test-roll4 does not roll"),
        (1, 2, "c-test-roll2 rolls 2 versions, but the {} valid shares have 1"),
        (4, 8, "c-test-roll8 rolls 8 versions, but the {} valid shares have 4"),
    ],
)
def test_an_edited_label_of_version_rolling_is_found(versions, label, says):
    row, shares = rolled_row(versions, label)
    assert messages([row], [shares]) == [(0, says.format(len(shares)))]


def test_an_edited_version_in_a_share_is_found():
    row, shares = rolled_row(4, label=4)
    version = bytes.fromhex(shares[0].header_hex[:8])
    edited = dataclasses.replace(
        shares[0], header_hex=bytes([0, version[1] ^ 0x20, 0, 0x20]).hex() + shares[0].header_hex[8:]
    )
    (found,) = (message for _, message in messages([row], [[edited, *shares[1:]]]))
    assert "does not hash to a share" in found


def test_few_shares_need_not_have_every_version():
    row, shares = rolled_row(8, label=8)
    few = [share for share in shares if share.header_hex[2:4] != "e0"][:9]
    work = 9.0 * 2**BITS
    small = dataclasses.replace(
        row, work=work, rate_per_s=work / 2, work_per_j=work / 20, shares_found=9, shares_expected=9.0
    )
    assert messages([small], [few]) == []


def test_rows_of_other_workloads_need_no_shares():
    flops = dataclasses.replace(
        ROW, workload="transformer", work_unit="FLOP", share_bits=None, shares_expected=None, shares_found=None
    )
    assert messages([flops], [None]) == []
    assert "rate_per_s" in messages([dataclasses.replace(flops, rate_per_s=1.0)], [None])[0][1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rate_per_s": ROW.rate_per_s * 1.01}, "rate_per_s"),
        ({"work_per_j": 1.0}, "work_per_j"),
        ({"energy_j": 19.0}, "work_per_j"),
        ({"window_s": 1.0}, "rate_per_s"),
        ({"shares_expected": 1.0}, "shares_expected"),
        ({"shares_found": len(SHARES) + 1}, "the sidecar holds"),
        ({"shares_found": None}, "the row has no shares, so nothing proves its hashes"),
        ({"share_bits": BITS + 1, "shares_expected": NONCES / 2 ** (BITS + 1)}, "does not hash to a share"),
        # Everything that follows from the work is edited along with it; only the shares still tell.
        (
            {
                "work": 2.0 * NONCES,
                "rate_per_s": float(NONCES),
                "work_per_j": NONCES / 10,
                "shares_expected": 2 * NONCES / 2**BITS,
            },
            "should yield about",
        ),
    ],
)
def test_an_edited_row_is_found(change, says):
    found = messages([OTHER_ROW, dataclasses.replace(ROW, **change)], [OTHER_SHARES, SHARES])
    assert found
    assert all(row == 1 for row, _ in found)
    assert any(says in message for _, message in found)


def test_a_column_that_does_not_follow_is_named_with_its_formula():
    wrong = dataclasses.replace(ROW, rate_per_s=1.0, work_per_j=2.0, power_mean_w=3.0, shares_expected=4.0)
    assert [message for _, message in messages([wrong], [SHARES])] == [
        "rate_per_s is 1, but work ÷ window_s is 10000",
        "work_per_j is 2, but work ÷ energy_j is 1000",
        "power_mean_w is 3, but energy_j ÷ window_s is 10",
        "shares_expected is 4, but work ÷ 2^share_bits is 312.5",
    ]
    rounded = dataclasses.replace(ROW, rate_per_s=ROW.rate_per_s * (1 + 5e-7))
    assert messages([rounded], [SHARES]) == []


def test_problems_of_several_rows_are_all_reported():
    wrong = dataclasses.replace(ROW, rate_per_s=1.0)
    again = dataclasses.replace(OTHER_ROW, rate_per_s=1.0)
    assert [row for row, _ in messages([wrong, again], [SHARES, OTHER_SHARES])] == [0, 1]


def invented(count: int) -> list[Share]:
    return [Share(with_nonce(bytes(80), nonce).hex(), nonce) for nonce in range(1000, 1000 + count)]


def test_shares_that_lie_are_found():
    one = [message for _, message in messages([ROW], [[*SHARES[:-1], *invented(1)]])]
    assert one[0].endswith(f"leading zero bits, {BITS} are needed")
    assert "does not hash" in one[0]
    repeated = [*SHARES[:-1], SHARES[0]]
    twice = f"the share with nonce {SHARES[0].nonce} is there twice in this row"
    assert twice in [message for _, message in messages([ROW], [repeated])]
    assert any("already in row 1" in message for _, message in messages([ROW, ROW], [SHARES, SHARES]))
    withheld = messages([dataclasses.replace(ROW, shares_found=0)], [[]])
    assert any("should yield" in message for _, message in withheld)


def test_invented_shares_are_counted_and_prove_nothing():
    shares = [share for share in invented(400) if share_problem(share, BITS)][: len(SHARES)]
    bad, count = (message for _, message in messages([ROW], [shares]))
    assert bad.endswith(f"(and {len(SHARES) - 1} more)")
    assert "but 0 are valid (p = " in count


@pytest.mark.parametrize(
    ("change", "shares", "says"),
    [
        ({"shares_found": None}, SHARES, "the row has no shares, so nothing proves its hashes"),
        ({"share_bits": None}, SHARES, "the row has no shares, so nothing proves its hashes"),
        ({}, None, "the shares are missing from the sidecar, so nothing proves the hashes"),
    ],
)
def test_hashes_without_shares_are_said_to_be_unproven(change, shares, says):
    assert messages([dataclasses.replace(ROW, **change)], [shares]) == [(0, says)]


def test_scrypt_shares_are_hashed_by_scrypt():
    """The first block of Litecoin, whose proof of work is the scrypt hash of its header."""
    merkle = "d9ced4ed1130f7b7faad9be25323ffafa33232a17c3edf6cfd97bee6bafbdd97"
    share = Share(f"01000000{'00' * 32}{merkle}b9aa8e4ef0ff0f1ecd513f7c", 2084524493)
    assert rehash(share, "scrypt")[::-1].hex() == "0000050c34a64b415b6b15b37f2216634b5b1669cb9a2e38d76f7213b0671e00"
    assert share_problem(share, 21, "scrypt") is None
    assert "21 leading zero bits, 22 are needed" in (share_problem(share, 22, "scrypt") or "")
    assert "3 leading zero bits" in (share_problem(share, 21) or "")


def test_rows_and_shares_must_pair():
    with pytest.raises(ValueError, match="argument 2"):
        verify_rows([ROW], [])

"""How much of a claimed hashrate its shares prove, pooled over the rows that claim it.

``n`` hashes yield about ``n / 2^bits`` shares, a Poisson count. One short window may yield too few to say anything, so
a file's rows of one setting are judged together: their shares prove that at least some part of the claimed hashes was
done. Less than half proven is *not proven*: a rate forged to twice the true one would not have been noticed.

Shares are bound neither to a time nor to a device. To forge a proven claim one has to do the claimed hashes, all of
them, but may take longer or use another machine: see SECURITY.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.model import Record, Share
from bench.workloads.hashing.shares import DIGESTS, share_problem

PROVEN_FACTOR = 2.0
"""A claim is proven when its shares exclude that it is this many times the truth; some 30 expected shares do."""
CONFIDENCE = 0.999
"""Of the lower bound on the hashes that were done."""
ENOUGH = 100
"""Expected shares of which all but one run in five hundred prove their claim; 60 fail in one of fifteen."""

SETTING = ("workload", "implementation", "options", "device_uuid", "device_name", "power_limit_w", "sm_clock_lock_mhz")
"""Columns in which rows of one claim agree."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Rows of one file and one setting, and what their shares say of them all together."""

    rows: tuple[int, ...]
    """Row numbers, from 1."""
    workload: str
    hashes: float
    expected: float
    """Shares that the claimed hashes yield on average."""
    found: int
    """Distinct shares that hash as they must."""

    @property
    def proven_share(self) -> float:
        """The part of the claimed hashes that was done at least, with :data:`CONFIDENCE`; 0 … above 1."""
        return _proven_share(self.found, self.expected)

    @property
    def proven(self) -> bool:
        return self.proven_share >= 1 / PROVEN_FACTOR

    def __str__(self) -> str:
        rows = "1 row" if len(self.rows) == 1 else f"{len(self.rows)} rows"
        return (
            f"not proven: {self.found} shares from {rows} of {self.workload}, {self.expected:.3g} expected, show only "
            f"{self.proven_share:.0%} of the {self.hashes:.3g} claimed hashes (fewer --share-bits or more windows "
            "give more shares)"
        )


def least_mean(found: int) -> float:
    """The least Poisson mean that a count of ``found`` does not exclude with :data:`CONFIDENCE`; 0 for no count."""
    from scipy.special import gammaincinv

    return float(gammaincinv(found, 1 - CONFIDENCE)) if found > 0 else 0.0


def _proven_share(found: int, expected: float) -> float:
    return least_mean(found) / expected if expected > 0 else 0.0


def judge(records: Sequence[Record]) -> list[Record]:
    """The rows of one file with ``proven`` and ``verified`` as the counts of their shares say.

    Rows of one setting are judged together. A valid row whose hashes are not proven is not verified; rows that are
    invalid or count no hashes stay as they are.
    """
    judged = list(records)
    for rows in _settings(records).values():
        found = sum(records[number - 1].shares_found or 0 for number in rows)
        expected = math.fsum(records[number - 1].shares_expected or 0.0 for number in rows)
        proven = _proven_share(found, expected) >= 1 / PROVEN_FACTOR
        for number in rows:
            judged[number - 1] = replace(records[number - 1], proven=proven, verified=proven)
    return judged


def shortfall(hash_per_s: float, share_bits: int, window_s: float, windows: int) -> str | None:
    """Why a plan will not prove its hashrate, and the share bits that would; None where it will."""
    expected = hash_per_s * window_s * windows / 2**share_bits
    if expected >= ENOUGH:
        return None
    enough = share_bits - math.ceil(math.log2(ENOUGH / expected))
    fix = f"use --share-bits {enough} or fewer" if enough >= 1 else "measure longer or more windows"
    return (
        f"about {expected:.2g} shares of {share_bits} bits are expected in all windows, too few to prove the hashrate: "
        f"the rows may not count as verified ({fix})"
    )


def claims(records: Sequence[Record], shares: Mapping[int, Sequence[Share]]) -> list[Claim]:
    """The claims of one file's valid rows that count hashes, in order of their first row.

    Args:
        records: the file's rows.
        shares: row number, from 1 → the row's shares.
    """
    return [_claim(records, shares, rows) for rows in _settings(records).values()]


def _settings(records: Sequence[Record]) -> dict[tuple[object, ...], list[int]]:
    """Numbers of the valid rows that count hashes, from 1, by setting."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for number, record in enumerate(records, start=1):
        if record.valid and record.workload in DIGESTS:
            groups.setdefault(tuple(getattr(record, name) for name in SETTING), []).append(number)
    return groups


def _claim(records: Sequence[Record], shares: Mapping[int, Sequence[Share]], rows: Sequence[int]) -> Claim:
    hashes = expected = 0.0
    good: set[Share] = set()
    for number in rows:
        record = records[number - 1]
        hashes += record.work
        if record.share_bits is None:
            continue
        expected += record.work / 2**record.share_bits
        good.update(
            share
            for share in shares.get(number, ())
            if share_problem(share, record.share_bits, record.workload) is None
        )
    return Claim(tuple(rows), records[rows[0] - 1].workload, hashes, expected, len(good))

"""Judges shares: the nonces found show how many hashes were done.

``n`` hashes yield about ``n / 2^bits`` hashes with ``bits`` leading zero bits, as a Poisson count. Every share is
hashed again by pycryptodome, which has no code in common with the kernels. Pure: no device and no file is touched.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.model import Record, Share
from bench.model.job import rolled_versions
from bench.workloads.hashing.engine import VERSION_SHIFT

HEADER_BYTES = 80
P_MIN = 0.001
"""A count less likely than this (two-sided) does not agree with the claimed work."""
RELATIVE_TOLERANCE = 1e-6
"""Rounding allowed between columns that follow from one another."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one row. ``row`` counts from 0 in the sequence that was judged."""

    row: int
    message: str


def sha256d(header: bytes) -> bytes:
    """SHA-256 of the SHA-256 of ``header``: 32 bytes, by pycryptodome."""
    from Crypto.Hash import SHA256

    return SHA256.new(SHA256.new(header).digest()).digest()


def scrypt(header: bytes) -> bytes:
    """The scrypt hash (N=1024, r=1, p=1) of ``header`` salted with itself, as Litecoin mines it; 32 bytes."""
    from Crypto.Protocol.KDF import scrypt as kdf

    return bytes(kdf(header, header, 32, N=1024, r=1, p=1))


DIGESTS: Mapping[str, Callable[[bytes], bytes]] = {"sha256d": sha256d, "scrypt": scrypt}
"""Workload name → reference hash of its shares."""


def rehash(share: Share, workload: str = "sha256d") -> bytes:
    """The 32-byte digest of a share's header, by pycryptodome.

    Raises:
        ValueError: the header is not 80 bytes of hex, or its last four bytes are not the nonce.
    """
    header = bytes.fromhex(share.header_hex)
    if len(header) != HEADER_BYTES:
        raise ValueError(f"a header of {len(header)} bytes, not {HEADER_BYTES}")
    if int.from_bytes(header[76:], "little") != share.nonce:
        raise ValueError(f"nonce {share.nonce} is not the one in its header")
    return DIGESTS[workload](header)


def leading_zero_bits(digest: bytes) -> int:
    """Zero bits at the top of a digest, as Bitcoin writes the number (last byte first): 0 … 8·len."""
    return 8 * len(digest) - int.from_bytes(digest, "little").bit_length()


def poisson_p_value(expected: float, found: int) -> float:
    """Two-sided Poisson probability of a count at least as far from ``expected`` as ``found``.

    Twice the smaller tail, at most 1. 1.0 where nothing is expected and nothing found.
    """
    from scipy.special import pdtr, pdtrc

    if not expected > 0 or not math.isfinite(expected):
        return 1.0 if expected == 0 and found == 0 else 0.0
    at_most = float(pdtr(found, expected))
    at_least = float(pdtrc(found - 1, expected)) if found > 0 else 1.0
    return min(1.0, 2 * min(at_most, at_least))


def share_problem(share: Share, bits: int, workload: str = "sha256d") -> str | None:
    """Why ``share`` is not valid, or None where it has ``bits`` leading zero bits."""
    try:
        zeros = leading_zero_bits(rehash(share, workload))
    except ValueError as error:
        return f"a share is malformed: {error}"
    if zeros < bits:
        return f"nonce {share.nonce} does not hash to a share: {zeros} leading zero bits, {bits} are needed"
    return None


def verify_rows(rows: Sequence[Record], shares_by_row: Sequence[Sequence[Share] | None]) -> list[Problem]:
    """Judge rows again from their shares alone, as ``bitwatt verify`` does.

    Reported are: a rate, efficiency or expectation that does not follow from the row's own work, seconds and joules; a
    share that does not hash, or that another row or share of the same row already used; a count of shares that differs
    from the row's, or that the work cannot have yielded (p ≤ 0.001); shares whose block versions are not those that
    the row's implementation rolls. Work overstated by less than a fraction of about
    3.3/√(shares) cannot be told from chance.

    Args:
        rows: the rows, of whatever workload; only those whose unit is ``hash`` are judged by shares.
        shares_by_row: for each row its shares, or None where the sidecar has none.

    Returns:
        What is wrong, by row; empty when all is well.

    Raises:
        ValueError: the two sequences differ in length.
    """
    problems: list[Problem] = []
    seen: dict[Share, int] = {}
    for index, (row, shares) in enumerate(zip(rows, shares_by_row, strict=True)):
        messages = _column_problems(row)
        if row.work_unit == "hash" and row.workload in DIGESTS:
            messages += _share_problems(row, shares)
            for share in shares or ():
                if share in seen:
                    where = "twice in this row" if seen[share] == index else f"already in row {seen[share] + 1}"
                    messages.append(f"the share with nonce {share.nonce} is there {where}")
                    break
                seen[share] = index
        problems += [Problem(index, message) for message in messages]
    return problems


def _column_problems(row: Record) -> list[str]:
    """Columns that do not follow from the others they are computed from."""
    derived = [
        ("rate_per_s", row.rate_per_s, "work ÷ window_s", _ratio(row.work, row.window_s)),
        ("work_per_j", row.work_per_j, "work ÷ energy_j", _ratio(row.work, row.energy_j)),
        ("power_mean_w", row.power_mean_w, "energy_j ÷ window_s", _ratio(row.energy_j, row.window_s)),
    ]
    if row.share_bits is not None:
        derived.append(("shares_expected", row.shares_expected, "work ÷ 2^share_bits", row.work / 2**row.share_bits))
    return [
        f"{name} is {value:.9g}, but {formula} is {computed:.9g}"
        for name, value, formula, computed in derived
        if value is not None and computed is not None and not math.isclose(value, computed, rel_tol=RELATIVE_TOLERANCE)
    ]


def _share_problems(row: Record, shares: Sequence[Share] | None) -> list[str]:
    if row.share_bits is None or row.shares_found is None or row.shares_expected is None:
        return ["the row has no shares, so nothing proves its hashes"]
    if shares is None:
        return ["the shares are missing from the sidecar, so nothing proves the hashes"]
    messages: list[str] = []
    if len(shares) != row.shares_found:
        messages.append(f"shares_found is {row.shares_found}, but the sidecar holds {len(shares)}")
    judged = {share: share_problem(share, row.share_bits, row.workload) for share in shares}
    bad = [problem for share in shares if (problem := judged[share])]
    if bad:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        messages.append(bad[0] + more)
    valid = [share for share, problem in judged.items() if problem is None]
    messages += _version_problems(row.implementation, valid)
    good = len(set(shares)) - len(bad)
    expected = row.work / 2**row.share_bits
    p_value = poisson_p_value(expected, good)
    if p_value <= P_MIN:
        messages.append(
            f"{row.work:.6g} hashes should yield about {expected:.4g} shares of {row.share_bits} bits, "
            f"but {good} are valid (p = {p_value:.2g})"
        )
    return messages


def _version_problems(implementation: str, shares: Sequence[Share]) -> list[str]:
    """Versions of valid shares' headers that the implementation does not roll, or that it rolls and no share has."""
    rolled = rolled_versions(implementation)
    rollable = (rolled - 1) << VERSION_SHIFT
    versions = {int.from_bytes(bytes.fromhex(share.header_hex[:8]), "little") for share in shares}
    if len({version & ~rollable for version in versions}) > 1:
        return [f"the shares' headers have versions that {implementation} does not roll"]
    # The probability that chance leaves one of the versions without a share is at most this.
    if len(versions) < rolled and rolled * (1 - 1 / rolled) ** len(shares) <= P_MIN:
        return [f"{implementation} rolls {rolled} versions, but the {len(shares)} valid shares have {len(versions)}"]
    return []


def _ratio(above: float | None, below: float | None) -> float | None:
    return None if above is None or not below else above / below

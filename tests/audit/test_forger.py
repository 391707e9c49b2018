"""What a forger may edit, and what catches it. The table in SECURITY.md says the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bench import storage
from bench.audit.verify import verify
from bench.model import Audit, Record, Share, Window
from bench.workloads.hashing.job import reference_scan, with_nonce
from bench.workloads.hashing.proof import Claim, least_mean
from bench.workloads.hashing.shares import sha256d
from tests.support import factory

BITS = 6
NONCES = 4096
"""Hashes really done for each row: 64 shares are expected."""
SECONDS = 30.0


@dataclass(frozen=True)
class Row:
    """One row with its evidence, before or after a forger's hand."""

    record: Record
    audit: Audit

    def claiming(self, factor: float, **changes: Any) -> Row:
        """The same evidence under a claim ``factor`` times as large, every column consistent with it."""
        record = self.record
        work = record.work * factor
        bits = changes.get("share_bits", record.share_bits)
        columns = {
            "work": work,
            "rate_per_s": work / SECONDS,
            "shares_expected": work / 2**bits,
            "shares_found": len(self.audit.shares),
            **changes,
        }
        return Row(replace(record, **columns), replace(self.audit, share_bits=bits))


def honest(seed: int, bits: int = BITS) -> Row:
    """A row whose shares were really searched for, among its first ``NONCES`` nonces."""
    header = bytes([seed]) * 76
    nonces = reference_scan(sha256d, header + bytes(4), bits, 0, NONCES)
    shares = tuple(Share(with_nonce(header + bytes(4), nonce).hex(), nonce) for nonce in nonces)
    expected = NONCES / 2**bits
    record = factory.sha256d(
        repeat=seed, metered=False, work=float(NONCES), rate_per_s=NONCES / SECONDS, share_bits=bits,
        shares_expected=expected, shares_found=len(shares), run_id=f"run-{seed}",
        device_name="Real 1", host=None, device_uuid=None,
    )  # fmt: skip
    return Row(record, Audit(ok=True, share_bits=bits, shares_expected=expected, shares=shares))


def written(folder: Path, rows: Sequence[Row], name: str = "a") -> Path:
    """CSV and sidecar that agree in everything, as a forger who knows the format writes them."""
    with storage.create(folder, name) as results:
        for row in rows:
            window = Window(0, round(SECONDS * 1e9), row.record.launches, row.record.work)
            results.append(row.record, window=window, audit=row.audit)
    return results.path


HONEST = [honest(seed) for seed in (1, 2, 3)]


def test_an_honest_file_is_proven(tmp_path: Path) -> None:
    verdict = verify([written(tmp_path, HONEST)])
    assert verdict.findings == ()
    assert verdict.shares > 150


FORGERIES: dict[str, tuple[Callable[[], list[Row]], str]] = {
    "the rate, three times the truth, all columns and the sidecar with it": (
        lambda: [row.claiming(3) for row in HONEST],
        "hashes should yield about",
    ),
    "the rate, fifty times the truth, with 32-bit shares of which none was due": (
        lambda: [Row(row.record, replace(row.audit, shares=())).claiming(50, share_bits=32) for row in HONEST],
        "not proven: 0 shares from 3 rows of sha256d",
    ),
    "nothing, but 32-bit shares prove nothing either": (
        lambda: [Row(row.record, replace(row.audit, shares=())).claiming(1, share_bits=32) for row in HONEST],
        "not proven",
    ),
    "shares of another row added to carry a doubled rate": (
        lambda: [
            HONEST[0],
            Row(HONEST[1].record, replace(HONEST[1].audit, shares=HONEST[0].audit.shares + HONEST[1].audit.shares))
            .claiming(2),
        ],
        "already in row 1",
    ),
    "one share repeated": (
        lambda: [Row(HONEST[0].record, replace(HONEST[0].audit, shares=HONEST[0].audit.shares * 2)).claiming(2)],
        "twice in this row",
    ),
    "nonces made up to carry a doubled rate": (
        lambda: [
            Row(
                HONEST[0].record,
                replace(
                    HONEST[0].audit,
                    shares=HONEST[0].audit.shares
                    + tuple(Share("11" * 76 + nonce.to_bytes(4, "little").hex(), nonce) for nonce in range(64)),
                ),
            ).claiming(2)
        ],
        "does not hash to a share",
    ),
    "the unit of work, so that no shares are asked for": (
        lambda: [row.claiming(50, work_unit="FLOP") for row in HONEST],
        "work_unit is FLOP, but sha256d counts hashes",
    ),
    "verified and proven set to true where too few shares were due": (
        lambda: [
            Row(replace(row.record, proven=True, verified=True), replace(row.audit, shares=())).claiming(
                1, share_bits=32
            )
            for row in HONEST
        ],
        "not proven",
    ),
    "share columns emptied": (
        lambda: [Row(replace(row.claiming(50).record, share_bits=None), row.audit) for row in HONEST],
        "nothing proves its hashes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("edited", FORGERIES)
def test_a_forgery_is_caught_though_csv_and_sidecar_agree(edited: str, tmp_path: Path) -> None:
    make, says = FORGERIES[edited]
    findings = verify([written(tmp_path, make())]).findings
    assert any(says in finding.message for finding in findings), findings


def test_shares_of_an_honest_file_prove_no_other(tmp_path: Path) -> None:
    paths = [written(tmp_path, HONEST, name) for name in ("a", "b")]
    findings = verify(paths).findings
    assert [(finding.path, finding.line) for finding in findings] == [(paths[1], line) for line in (2, 3, 4)]
    assert str(paths[0]) in findings[0].message


def test_rows_with_a_share_or_so_each_are_judged_together(tmp_path: Path) -> None:
    """One expected share a row says nothing of a row; forty of them say enough, and a fourfold claim is caught."""
    rows = [honest(seed, bits=12) for seed in range(1, 61)]
    assert verify([written(tmp_path, rows)]).findings == ()
    findings = verify([written(tmp_path, [row.claiming(4) for row in rows], "b")]).findings
    assert any("not proven" in finding.message for finding in findings)


def test_an_invalid_row_claims_nothing(tmp_path: Path) -> None:
    bare = Row(HONEST[0].record, replace(HONEST[0].audit, shares=())).claiming(1, share_bits=32)
    rows = [*HONEST, Row(replace(bare.record, valid=False, run_id="other"), bare.audit)]
    assert verify([written(tmp_path, rows)]).findings == ()


def test_the_least_mean_is_what_poisson_says() -> None:
    """Of a mean of that size, as many shares or more are found once in a thousand."""
    from scipy.stats import poisson

    for found in (1, 5, 30, 300):
        assert poisson.sf(found - 1, least_mean(found)) == pytest.approx(0.001)
    assert least_mean(0) == 0.0


@pytest.mark.parametrize(("found", "proven"), [(0, False), (20, False), (40, True), (200, True)])
def test_some_thirty_shares_prove_a_claim(found: int, proven: bool) -> None:
    assert Claim((1,), "sha256d", found * 64.0, float(found or 1), found).proven is proven


@pytest.mark.parametrize("cells", [{"proven": "true", "verified": "true"}, {"proven": "", "verified": "true"}])
def test_a_row_that_is_not_proven_cannot_be_edited_into_a_verified_one(cells: dict[str, str], tmp_path: Path) -> None:
    bare = [Row(row.record, replace(row.audit, shares=())).claiming(1, share_bits=32) for row in HONEST]
    rows = [Row(replace(row.record, proven=False, verified=False), row.audit) for row in bare]
    path = written(tmp_path, rows)
    (honest_finding,) = verify([path]).findings
    assert "not proven" in honest_finding.message
    text = path.read_text(encoding="utf-8").splitlines()
    names = text[0].split(",")
    edited = [line.split(",") for line in text[1:]]
    for line in edited:
        for name, cell in cells.items():
            line[names.index(name)] = cell
    path.write_text("\n".join([text[0], *map(",".join, edited)]) + "\n", encoding="utf-8")
    assert any("not proven" in finding.message for finding in verify([path]).findings)


def test_a_failed_check_cannot_be_edited_into_a_verified_row(tmp_path: Path) -> None:
    wrong = Row(replace(HONEST[0].record, valid=False, verified=False), replace(HONEST[0].audit, ok=False))
    forged = Row(replace(wrong.record, valid=True, verified=True, proven=True), wrong.audit)
    findings = verify([written(tmp_path, [forged, *HONEST[1:]])]).findings
    assert any(finding.column == "verified" for finding in findings), findings


def test_shares_of_another_file_are_named_by_its_line(tmp_path: Path) -> None:
    first = written(tmp_path, HONEST[:2], "a")
    later = written(tmp_path, [HONEST[2], HONEST[1]], "b")
    (finding,) = verify([first, later]).findings
    assert str(finding) == f"{later}, line 3: its shares are those of {first}, line 3"
    assert verify([first]).findings == ()
    twice = written(tmp_path, [HONEST[0], replace(HONEST[1], audit=HONEST[0].audit)], "c")
    assert not [finding for finding in verify([twice]).findings if "its shares are those of" in finding.message]


def test_each_finding_names_its_file_and_line(tmp_path: Path) -> None:
    unit = written(tmp_path, [HONEST[0], HONEST[1].claiming(1, work_unit="FLOP")], "unit")
    found = [(str(finding), finding.column) for finding in verify([unit]).findings]
    assert (f"{unit}, line 3: work_unit is FLOP, but sha256d counts hashes", "work_unit") in found
    twice = written(tmp_path, [HONEST[0], HONEST[1].claiming(2)], "twice")
    assert [finding.line for finding in verify([twice]).findings] == [3]
    assert str(verify([twice]).findings[0]).startswith(f"{twice}, line 3: 8192 hashes should yield about 128 shares")
    bare = Row(HONEST[1].record, replace(HONEST[1].audit, shares=())).claiming(1, share_bits=32)
    few = written(tmp_path, [replace_workload(HONEST[0]), bare], "few")
    assert [str(finding)[: len(str(few)) + 18] for finding in verify([few]).findings] == [f"{few}, line 3: not prov"]


def replace_workload(row: Row) -> Row:
    """A row that counts no hashes."""
    changes = {"workload": "transformer", "work_unit": "FLOP", "share_bits": None, "shares_expected": None}
    return Row(replace(row.record, **changes, shares_found=None), Audit(ok=True))

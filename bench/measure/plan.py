"""The plan of a run: the one picklable value that says what to measure, and how.

The command line builds it, a TOML file may hold it (``--plan``), the sidecar records it, ``--again`` reads it back.
A group lives with the package that reads it and checks itself; this module only composes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

from bench import workloads
from bench.data.toml_file import read_toml
from bench.measure.timing import TimingOptions
from bench.model import BenchError
from bench.model.options import Names, described, flag, option_group
from bench.power.options import PowerOptions
from bench.workloads.bandwidth.options import BandwidthOptions
from bench.workloads.hashing.options import HashingOptions
from bench.workloads.transformer.options import TransformerOptions


@option_group("What is measured", 1)
@dataclass(frozen=True, kw_only=True)
class SelectionOptions:
    """What is measured on what."""

    device: str = "auto"
    """auto (every accelerator, else the CPU), cuda, cuda:1, rocm, xpu, mps, musa, mlu or cpu."""
    workload: Annotated[
        Names,
        described(f"Workloads: {', '.join(workloads.WORKLOADS)}; default: {', '.join(workloads.STANDARD)}."),
    ] = workloads.STANDARD
    """Workloads, by the names of the registry."""

    def __post_init__(self) -> None:
        for name in self.workload:
            workloads.entry(name)
        if not self.workload:
            raise BenchError("no workload is named", f"choose from {', '.join(workloads.WORKLOADS)}")


@option_group("Output", 6)
@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Where results go."""

    out: Path = Path("results")
    """Folder for the CSV and its sidecar."""
    host_label: str | None = None
    """Name of this host in the CSV; '' for none."""
    anonymous: bool = False
    """Write keyed hashes in place of the host and the UUIDs; the key stays on this machine."""


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """What to measure, and how.

    Raises:
        BenchError: options of a workload that is not measured.
    """

    selection: SelectionOptions = field(default_factory=SelectionOptions)
    transformer: TransformerOptions = field(default_factory=TransformerOptions)
    hashing: HashingOptions = field(default_factory=HashingOptions)
    bandwidth: BandwidthOptions = field(default_factory=BandwidthOptions)
    power: PowerOptions = field(default_factory=PowerOptions)
    timing: TimingOptions = field(default_factory=TimingOptions)
    output: OutputOptions = field(default_factory=OutputOptions)

    def __post_init__(self) -> None:
        measured = self.selection.workload
        read = {workloads.entry(name).group for name in measured}
        for name, entry in workloads.WORKLOADS.items():
            changed = to_dict(getattr(self, entry.group))
            if changed and entry.group not in read:
                raise BenchError(
                    f"{flag(next(iter(changed)))} does not apply to {', '.join(measured)}",
                    f"add {name} to --workload, or leave it out",
                )


def to_dict(group: Any) -> dict[str, Any]:
    """A plan or a group of it as JSON values, without the options at their defaults."""
    plain: dict[str, Any] = {}
    standard = type(group)()
    for entry in fields(group):
        value = getattr(group, entry.name)
        if value == getattr(standard, entry.name):
            continue
        plain[entry.name] = to_dict(value) if is_dataclass(value) else _plain(value)
    return plain


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value


def from_dict(values: Mapping[str, Any], source: str) -> RunPlan:
    """The plan that :func:`to_dict` or a TOML file wrote.

    Args:
        values: option groups by name, each a table of options by field name.
        source: what to call the file in an error.

    Raises:
        BenchError: an unknown group or option, or a value of the wrong type or out of range.
    """
    import msgspec

    known = {group.name: {option.name for option in fields(group.default_factory)} for group in fields(RunPlan)}  # type: ignore[arg-type]
    for group, options in values.items():
        unknown = [group] if group not in known else [name for name in options if name not in known[group]]
        if unknown:
            listed = known.get(group, known)
            raise BenchError(f"{source}: there is no option {unknown[0]!r}", f"choose from {', '.join(sorted(listed))}")
    try:
        return msgspec.convert(dict(values), RunPlan, dec_hook=lambda kind, value: kind(value))
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, BenchError):
            raise error.__cause__ from None
        raise BenchError(f"{source}: wrong value ({error})", "correct it; see bitwatt run --help") from None


def read(path: Path) -> dict[str, Any]:
    """The option tables of a plan file.

    Raises:
        BenchError: the file cannot be read, or is not valid TOML or not a plan.
    """
    values = read_toml(path, "plan", "correct it; see bitwatt run --help")
    for name, table in values.items():
        if not isinstance(table, dict):
            raise BenchError(f"{path} has {name!r} outside a table", "put each option below its group, as [timing]")
    from_dict(values, str(path))
    return values

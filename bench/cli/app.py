"""The command ``bitwatt``: wires the rooms together. The only place that prints or exits.

Nothing heavy is imported at the top: ``--help`` and ``compare`` never load a GPU stack.
"""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from bench import __version__
from bench.model import EXIT_INVALID, EXIT_OK, EXIT_REGRESSION, EXIT_USAGE, BenchError

if TYPE_CHECKING:
    from bench.analysis.compare import Result
    from bench.measure.devices import Choice
    from bench.measure.runner import Asked
    from bench.model import Record
    from bench.output import Document
    from bench.storage.store import Store
    from bench.workloads import Request

EXIT_INTERRUPTED = 130
EXIT_INTERNAL = 70

app = typer.Typer(
    name="bitwatt",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="What one card does at mining and at AI, from one run and one power meter.\n\n"
    "Results go to stdout, progress and warnings to stderr. "
    "Exit codes: 0 good, 1 a regression found, 2 wrong use, 3 an invalid measurement, 130 interrupted.",
)


class _Streams:
    """Where things are printed: data on stdout, talk on stderr."""

    @property
    def out(self) -> Console:
        return Console(file=sys.stdout, soft_wrap=not sys.stdout.isatty(), width=_width(sys.stdout))

    @property
    def err(self) -> Console:
        return Console(file=sys.stderr, stderr=True, highlight=False, soft_wrap=True)


_streams = _Streams()


def _width(stream: Any) -> int | None:
    """A pipe has no width: a table must not be folded at 80 columns on its way into a file."""
    return None if stream.isatty() else 240


def _warn(message: str) -> None:
    _streams.err.print(Text(f"warning: {message}", style="yellow"))


def main() -> NoReturn:
    """Entry point. Every error a user can cause is one sentence with the way out; no traceback reaches a user."""
    signal.signal(signal.SIGTERM, _interrupt)
    code: int | str | None = EXIT_OK
    try:
        app()
    except SystemExit as stop:
        code = stop.code
    except BenchError as error:
        _streams.err.print(Text(f"bitwatt: {error}", style="bold red"))
        code = error.exit_code
    except KeyboardInterrupt:
        _streams.err.print("bitwatt: interrupted.")
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our stdout has gone (`| head`): nothing more to say to anyone.
        _drop_stdout()
    except Exception as error:
        if os.environ.get("BITWATT_TRACEBACK"):
            raise
        _streams.err.print(
            Text(
                f"bitwatt: internal error ({type(error).__name__}: {error}). "
                "To fix: run again with BITWATT_TRACEBACK=1 and report what it prints.",
                style="bold red",
            )
        )
        code = EXIT_INTERNAL
    try:
        sys.stdout.flush()
    except OSError:
        _drop_stdout()
    sys.exit(code)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    """SIGTERM ends a run the way Ctrl-C does: meters closed, rows kept."""
    raise KeyboardInterrupt


def _version(show: bool) -> None:
    if show:
        typer.echo(f"bitwatt {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options before a command."""


class Layout(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


def _layout(json: bool, csv: bool, markdown: bool) -> Layout:
    chosen = [layout for layout, on in ((Layout.JSON, json), (Layout.CSV, csv), (Layout.MARKDOWN, markdown)) if on]
    if len(chosen) > 1:
        raise BenchError(
            f"stdout can hold one layout, not {' and '.join(chosen)}", "give one of --json, --csv, --markdown"
        )
    return chosen[0] if chosen else Layout.TABLE


def _stdout_csv(csv: str | None) -> bool:
    if csv not in (None, "-"):
        raise BenchError(f"--csv takes only '-' (stdout), not {csv!r}", "name the folder for files with --out")
    return csv == "-"


# ---------------------------------------------------------------------------------------------------------------------
# devices


@app.command("devices")
def devices_command(
    json: Annotated[bool, typer.Option("--json", help="A list of objects.")] = False,
    meter: Annotated[str, typer.Option(help="Power source to try on each device.")] = "auto",
) -> None:
    """List what can be measured, and with which power sensor."""
    from bench import output
    from bench import power as meters
    from bench.measure import devices

    found = [*devices.accelerators(), devices.cpu()]
    lines = []
    for device in found:
        source = meters.open_meter(meter, device)
        try:
            lines.append((device, source.sensor))
        finally:
            source.close()
    _show(output.devices(lines), Layout.JSON if json else Layout.TABLE)


def _show(document: Document, layout: Layout) -> None:
    """Print a result in one format; its notes too, unless the format holds them or is for a program."""
    from bench import output

    for part in output.render(document, layout.value):
        _print(part)
    for note in document.notes if layout is Layout.TABLE else ():
        if document.notes_are_results:
            _print(note)
        else:
            _streams.err.print(Text(note))


def _print(thing: Any) -> None:
    """Text goes out as it is; anything else is drawn by Rich."""
    try:
        if isinstance(thing, str):
            sys.stdout.write(thing if thing.endswith("\n") else thing + "\n")
        else:
            _streams.out.print(thing)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _drop_stdout()
        raise BenchError(
            f"cannot write to stdout ({(error.strerror or str(error)).lower()})", "send the output elsewhere"
        ) from error


def _drop_stdout() -> None:
    """Nobody can read our stdout any more: what is still buffered for it must not fail again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# ---------------------------------------------------------------------------------------------------------------------
# run


@app.command("run")
def run_command(
    device: Annotated[
        str, typer.Option(help="auto (every accelerator, else the CPU), cuda, cuda:1, rocm, xpu, mps, musa, mlu, cpu.")
    ] = "auto",
    workload: Annotated[
        str, typer.Option(help="Comma-separated: sha256d, scrypt, transformer.")
    ] = "sha256d,scrypt,transformer",
    shape: Annotated[
        str | None, typer.Option(help="Comma-separated: tiny, llama3-8b, llama3-70b, mixtral-8x7b.")
    ] = None,
    shape_file: Annotated[Path | None, typer.Option(help="A TOML file with a model shape of your own.")] = None,
    phase: Annotated[
        str | None, typer.Option(help="Comma-separated: gemm, prefill, decode, train, mamf (best shape search).")
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="Comma-separated: fp32, tf32, fp16, bf16, fp8, int8.")] = None,
    batch: Annotated[str | None, typer.Option(help="Comma-separated batch sizes.")] = None,
    seq: Annotated[str | None, typer.Option(help="Comma-separated tokens per sequence.")] = None,
    budget: Annotated[
        float | None, typer.Option(help="Seconds that the search of phase mamf takes at most; default: 100.")
    ] = None,
    detail: Annotated[bool, typer.Option(help="A row per matrix product, too.")] = False,
    inputs: Annotated[
        str | None, typer.Option(help="Comma-separated input data: normal, zeros, ones, structured.")
    ] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="torch.compile the block (outside the timing).")] = False,
    isa: Annotated[
        str | None, typer.Option(help="CPU path of the hash loops: avx512, avx2, shani, sse2, neon, armv8, generic.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="auto, or portable: the hash loop in torch operations.")] = None,
    prefer: Annotated[str | None, typer.Option(help="speed or efficiency: how the CUDA kernel is chosen.")] = None,
    variant: Annotated[
        int | None, typer.Option(help="Force this variant of the CUDA kernel instead of a trial.")
    ] = None,
    share_bits: Annotated[
        int | None, typer.Option(help="Leading zero bits of a share (1 to 32); default: by the rate.")
    ] = None,
    meter: Annotated[
        str,
        typer.Option(
            help="auto, nvml[:UUID or index], rapl, amd, mthreads, 'command:…', replay:FILE, assume:WATTS, none."
        ),
    ] = "auto",
    assume_watts: Annotated[
        float | None, typer.Option(help="No sensor: reckon with these watts, and label the rows assumed.")
    ] = None,
    sensor_calibration: Annotated[
        Path | None, typer.Option(help="A TOML file with gain and offset from a wattmeter of your own.")
    ] = None,
    zeus: Annotated[
        bool, typer.Option("--zeus", help="Lay Zeus's joules beside ours (pip install 'bitwatt[zeus]').")
    ] = False,
    window: Annotated[float | None, typer.Option(help="Seconds per window.")] = None,
    repeats: Annotated[int | None, typer.Option(help="Windows per variant.")] = None,
    warmup: Annotated[float | None, typer.Option(help="Seconds of warm-up at most.")] = None,
    quick: Annotated[bool, typer.Option(help="5 s windows, one each, labelled quick.")] = False,
    smoke: Annotated[bool, typer.Option(help="The smallest set in 1 s windows, labelled smoke.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for the CSV and its sidecar.")] = Path("results"),
    host_label: Annotated[str | None, typer.Option(help="What the CSV calls this host; '' for nothing.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of headers and launch jitter; default: the time.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Rows as a JSON list on stdout.")] = False,
    csv: Annotated[str | None, typer.Option(help="'-': rows as CSV on stdout.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="The table in Markdown.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
) -> None:
    """Measure: hash and multiply on each device under its power meter, one CSV row per window."""
    from bench.measure import devices, runner
    from bench.workloads import MODULES, Request

    layout = _layout(json, _stdout_csv(csv), markdown)
    if assume_watts is not None:
        if meter != "auto":
            raise BenchError("--assume-watts and --meter exclude each other", "give one of them")
        meter = f"assume:{assume_watts}"
    if quick and smoke:
        raise BenchError("--quick and --smoke exclude each other", "give one of them")
    mode = "smoke" if smoke else "quick" if quick else "standard"
    durations = runner.Asked(window, repeats, warmup)
    workloads = _names(workload)
    for name in workloads:
        if name not in MODULES:
            raise BenchError(f"there is no workload named {name!r}", f"choose from {', '.join(MODULES)}")
    _refuse_idle_options(
        workloads,
        model={
            "--shape": shape,
            "--shape-file": shape_file,
            "--phase": phase,
            "--dtype": dtype,
            "--batch": batch,
            "--seq": seq,
            "--budget": budget,
            "--detail": detail or None,
            "--inputs": inputs,
            "--compile": compiled or None,
        },
        hashing={
            "--isa": isa,
            "--engine": engine,
            "--prefer": prefer,
            "--variant": variant,
            "--share-bits": share_bits,
        },
    )
    phases = _names(phase)
    _check_budget(budget, phases)
    options = {
        "isa": isa,
        "engine": engine,
        "prefer": prefer,
        "variant": variant,
        "share_bits": share_bits,
        "compile": compiled or None,
        "inputs": _names(inputs) or None,
        "shape_file": shape_file,
        "seed": seed,
        "budget_s": budget,
    }
    request = Request(
        shapes=_names(shape),
        phases=phases,
        dtypes=_names(dtype),
        batches=_numbers(batch, "--batch"),
        seqs=_numbers(seq, "--seq"),
        detail=detail,
        smoke=smoke,
        options={name: value for name, value in options.items() if value is not None},
    )
    choice = devices.choose(device)
    if choice.warning:
        _warn(choice.warning)
    records, wrong = _measure_all(
        choice,
        workloads,
        request,
        meter,
        sensor_calibration,
        mode=mode,
        durations=durations,
        out=out,
        host_label=host_label,
        seed=seed,
        quiet=quiet,
        zeus=zeus,
    )
    _show_rows(records, layout)
    if not records:
        code = EXIT_INVALID if wrong else EXIT_USAGE
        raise BenchError("nothing was measured", "see the reasons above", exit_code=code)
    if wrong or not all(record.valid and record.verified for record in records):
        raise typer.Exit(EXIT_INVALID)


HASHING = frozenset({"sha256d", "scrypt"})


def _refuse_idle_options(workloads: tuple[str, ...], *, model: dict[str, Any], hashing: dict[str, Any]) -> None:
    """Refuse an option that no workload of the run would read: it was meant for something that is left out."""
    for options, applies, what in (
        (model, not set(workloads) <= HASHING, "transformer"),
        (hashing, bool(HASHING.intersection(workloads)), "sha256d"),
    ):
        given = [name for name, value in options.items() if value is not None]
        if given and not applies:
            raise BenchError(
                f"{given[0]} concerns no workload of {', '.join(workloads)}",
                f"add {what} to --workload, or leave it out",
            )


def _check_budget(budget_s: float | None, phases: tuple[str, ...]) -> None:
    """Refuse seconds that are none, and a budget for a search that is not asked for."""
    if budget_s is None:
        return
    if not (math.isfinite(budget_s) and budget_s > 0):
        raise BenchError(f"a search of {budget_s:g} s finds nothing", "use --budget with some seconds, for example 60")
    if "mamf" not in phases:
        raise BenchError("--budget concerns only the search of phase mamf", "add --phase mamf, or leave it out")


def _measure_all(
    choice: Choice,
    workloads: tuple[str, ...],
    request: Request,
    meter_spec: str,
    calibration: Path | None,
    *,
    mode: str,
    durations: Asked,
    out: Path,
    host_label: str | None,
    seed: int | None,
    quiet: bool,
    zeus: bool,
) -> tuple[list[Record], bool]:
    """Measure each device in turn, each into a CSV of its own; returns all rows and whether any output was wrong."""
    from bench import power as meters
    from bench.measure import provenance as environment
    from bench.measure import runner, session
    from bench.output.progress import TerminalObserver
    from bench.power.zeus import ZeusMeter
    from bench.storage import store

    rows: list[Record] = []
    wrong = False
    for device in choice.devices:
        variants = session.plan(device, workloads, request)
        source = meters.open_meter(meter_spec, device, calibration=calibration)
        try:
            if source.sensor.reason and not quiet:
                _warn(f"no watts for {device.label}: {source.sensor.reason}")
            timing = runner.timing(mode, durations, metered=runner.reads_watts(source.sensor))
            context = environment.context(choice.how, device, host_label=host_label)
            source.start()
            with (
                ZeusMeter(source.sensor) if zeus else nullcontext() as reference_meter,
                TerminalObserver(_streams.err, quiet=quiet) as observer,
                _keeping_rows(store.create(out, context.run_id)) as results,
            ):
                bad = session.measure_into(
                    results,
                    device,
                    variants,
                    source,
                    timing,
                    context,
                    observer,
                    seed=seed,
                    reference_meter=reference_meter,
                )
        finally:
            source.close()
        rows += results.records
        wrong = wrong or bad
    return rows, wrong


@contextmanager
def _keeping_rows(results: Store) -> Iterator[Store]:
    """Close the store on every way out, and say which rows are safe."""
    try:
        with results:
            yield results
    except BaseException:
        count = len(results.records)
        if count:
            _streams.err.print(f"{count} row{'s are' if count > 1 else ' is'} safe in {results.path}")
        raise
    else:
        if results.records:
            _streams.err.print(f"wrote {results.path} and {results.sidecar.name}")


def _show_rows(records: list[Record], layout: Layout) -> None:
    from bench.storage import store

    match layout:
        case Layout.JSON:
            _print(store.to_json(records))
        case Layout.CSV:
            _print(store.to_csv(records))
        case _:
            from bench import output

            _show(output.run(records), layout)


# ---------------------------------------------------------------------------------------------------------------------
# sweep


@app.command("sweep")
def sweep_command(
    power_limits: Annotated[
        str, typer.Option(help="A range such as 50%..100% or 200W..400W:50W, or a list such as 200,300,400.")
    ] = "50%..100%",
    device: Annotated[str, typer.Option(help="The one device that works, such as cuda:0.")] = "cuda:0",
    workload: Annotated[str, typer.Option(help="Comma-separated: sha256d, scrypt, transformer.")] = (
        "sha256d,transformer"
    ),
    shape: Annotated[str, typer.Option(help="Comma-separated model shapes.")] = "llama3-8b",
    phase: Annotated[str, typer.Option(help="Comma-separated phases.")] = "gemm",
    dtype: Annotated[str, typer.Option(help="Comma-separated types.")] = "bf16",
    meter: Annotated[
        str, typer.Option(help="The card whose limit is set and whose watts are read: auto, nvml[:UUID or index].")
    ] = "auto",
    sensor_calibration: Annotated[Path | None, typer.Option(help="A TOML file with gain and offset.")] = None,
    window: Annotated[float | None, typer.Option(help="Seconds per window.")] = None,
    repeats: Annotated[int | None, typer.Option(help="Windows per variant and limit.")] = None,
    warmup: Annotated[float | None, typer.Option(help="Seconds of warm-up at most.")] = None,
    quick: Annotated[bool, typer.Option(help="5 s windows, one each, labelled quick.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands it amounts to; change nothing.")] = (
        False
    ),
    out: Annotated[Path, typer.Option(help="Folder for the CSV and its sidecar.")] = Path("results"),
    host_label: Annotated[str | None, typer.Option(help="What the CSV calls this host; '' for nothing.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Rows as a JSON list on stdout.")] = False,
    csv: Annotated[str | None, typer.Option(help="'-': rows as CSV on stdout.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
) -> None:
    """Measure at each power limit: where each workload does most per joule. Sets the card's limit; needs permission.

    The old limit is put back on every way out, a kill included.
    """
    from bench import output
    from bench import power as meters
    from bench.analysis import frontier
    from bench.measure import devices, runner, session, sweep
    from bench.measure import provenance as environment
    from bench.output.progress import TerminalObserver
    from bench.power.limits import PowerLimiter
    from bench.storage import store
    from bench.workloads import Request

    layout = _layout(json, _stdout_csv(csv), False)
    durations = runner.Asked(window, repeats, warmup)
    choice = devices.choose(device)
    if len(choice.devices) != 1:
        raise BenchError(
            f"{device} names {len(choice.devices)} devices", "sweep one at a time, such as --device cuda:0"
        )
    (card,) = choice.devices
    request = Request(shapes=_names(shape), phases=_names(phase), dtypes=_names(dtype))
    variants = session.plan(card, _names(workload), request)
    wrong = False
    with PowerLimiter(meter, card) as limiter:
        limits_w = sweep.parse_limits(power_limits, limiter.range)
        if dry_run:
            for line in sweep.commands(limits_w, limiter.range):
                _print(line)
            return
        source = meters.open_meter(meter, card, calibration=sensor_calibration)
        try:
            if not runner.reads_watts(source.sensor):
                raise BenchError(f"a sweep needs watts: {source.sensor.reason}", "give a --meter that reads some")
            timing = runner.timing("quick" if quick else "standard", durations, metered=True)
            context = environment.context(choice.how, card, host_label=host_label)
            source.start()
            with (
                TerminalObserver(_streams.err, quiet=quiet) as observer,
                _keeping_rows(store.create(out, context.run_id)) as results,
            ):

                def measure(watts: float) -> list[bool]:
                    observer.note(f"power limit {watts:g} W")
                    return [session.measure_into(results, card, variants, source, timing, context, observer)]

                wrong = any(list(sweep.sweep(limiter, limits_w, measure)))
        finally:
            source.close()
    if layout is Layout.TABLE:
        _show(output.sweep(frontier.frontiers(results.records)), layout)
    else:
        _show_rows(list(results.records), layout)
    if wrong or not all(record.valid and record.verified for record in results.records):
        raise typer.Exit(EXIT_INVALID)


# ---------------------------------------------------------------------------------------------------------------------
# compare


@app.command("compare")
def compare_command(
    files: Annotated[list[Path], typer.Argument(help="Result CSVs, or folders of them.")],
    baseline: Annotated[str | None, typer.Option(help="The card (or run, driver, …) that ratios are to.")] = None,
    by: Annotated[
        str, typer.Option(help="What is set against what: card, gpu, driver, power-limit, run, host, file, commit, …")
    ] = "card",
    metric: Annotated[
        str | None,
        typer.Option(help="Comma-separated: rate_per_s, power_mean_w, work_per_j, tokens_per_s, tokens_per_j."),
    ] = None,
    published: Annotated[
        str | None,
        typer.Option(help="Lay published figures beside: 'measured' (of the cards at hand), card names, or 'all'."),
    ] = None,
    fail_if: Annotated[
        list[str] | None, typer.Option(help="Exit with 1 if this holds of a ratio: 'sha256d.work_per_j<0.95'.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="A list of every comparison.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="A line per comparison.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="A table for an issue or a README.")] = False,
) -> None:
    """Set cards or runs against each other: rates, watts, work per joule, with 95% intervals and verdicts."""
    from bench import output
    from bench.analysis import compare, gate
    from bench.storage import store

    layout = _layout(json, csv, markdown)
    conditions = gate.conditions(fail_if) if fail_if else []
    frame = store.read(files, compare.COLUMNS)
    result = compare.compare(frame, baseline=baseline, by=by, metrics=_names(metric) or None)
    judgements = [gate.judge(result, condition) for condition in conditions]
    result = _laid(result, published)
    _show(output.comparison(result), layout)
    for judgement in judgements:
        for line in judgement.failed:
            who = f"{line.key[result.subject]}, {line.task.label}, {line.metric}"
            what = f"{line.ratio:.4g} of {result.baseline}'s ({line.verdict})"
            _streams.err.print(Text(f"failed: {who} is {what}, and --fail-if says {judgement.condition.text}"))
    if any(judgement.failed for judgement in judgements):
        raise typer.Exit(EXIT_REGRESSION)


# ---------------------------------------------------------------------------------------------------------------------
# report


@app.command("report")
def report_command(
    files: Annotated[list[Path], typer.Argument(help="Result CSVs, or folders of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write.")] = Path("report.html"),
    baseline: Annotated[str | None, typer.Option(help="The card that ratios are to.")] = None,
    published: Annotated[
        str | None,
        typer.Option(help="Lay published figures beneath: 'measured' (of the cards at hand), card names, or 'all'."),
    ] = None,
    png: Annotated[Path | None, typer.Option(help="Also write each plot as a picture into this folder.")] = None,
    prices: Annotated[
        Path | None, typer.Option(help="Your prices (TOML) for the money section; default: the dated example.")
    ] = None,
    title: Annotated[str, typer.Option(help="The page's heading.")] = "What each watt does",
) -> None:
    """Write one self-contained page: works offline and on a phone, asks nothing of any network."""
    from bench import report
    from bench.analysis import compare, economics
    from bench.storage import store

    frame = store.read(files)
    outlook = economics.evaluate(economics.cards(frame), economics.read_prices(prices or economics.example_path()))
    result = _laid(compare.compare(frame, baseline=baseline), published)
    beside = [store.sidecar_path(path) for path in store.expand(files)]
    sidecars = [store.read_sidecar(path) for path in beside if path.exists()]
    html = report.render(frame, result, sidecars, outlook=outlook, title=title)
    store.write_atomically(output, html)
    _streams.err.print(f"wrote {output}")
    if png is not None:
        for picture in report.png(output, png):
            _streams.err.print(f"wrote {picture}")


def _laid(result: Result, published: str | None) -> Result:
    """The result with published figures beside it, where they were asked for."""
    from bench.analysis import published as known

    if published is None:
        return result
    return known.lay(result, () if published == "measured" else _names(published))


# ---------------------------------------------------------------------------------------------------------------------
# economics


@app.command("economics")
def economics_command(
    files: Annotated[list[Path] | None, typer.Argument(help="Result CSVs, or folders of them.")] = None,
    prices: Annotated[
        Path | None, typer.Option(help="Your prices (TOML); default: the dated example that comes with bitwatt.")
    ] = None,
    ai: Annotated[
        str | None, typer.Option(help="Words of the AI task to bill, such as 'decode' or 'llama3-8b bf16'.")
    ] = None,
    site_mw: Annotated[float | None, typer.Option(help="Megawatts at the site's meter.")] = None,
    print_prices: Annotated[bool, typer.Option("--print-prices", help="Print the price file to start from.")] = False,
    json: Annotated[bool, typer.Option("--json", help="A list of objects.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="A line per figure.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Tables in Markdown.")] = False,
) -> None:
    """Money: each card as a miner and as an AI card, break-evens, and a site full of either."""
    from bench import output
    from bench.analysis import economics
    from bench.storage import store

    layout = _layout(json, csv, markdown)
    source = prices or economics.example_path()
    if print_prices:
        _print(source.read_text(encoding="utf-8"))
        return
    known = economics.read_prices(source)
    if prices is None:
        _warn(f"these are the example prices of {known.as_of}; give your own with --prices (start from --print-prices)")
    cards = economics.cards(store.read(files or [], economics.COLUMNS), ai)
    outlook = economics.evaluate(cards, known, site_mw)
    _show(output.economics(outlook), layout)


# ---------------------------------------------------------------------------------------------------------------------
# results

_results = typer.Typer(no_args_is_help=True, help="The collection under results/: check a file, list what is there.")
app.add_typer(_results, name="results")


@_results.command("check")
def results_check_command(
    files: Annotated[list[Path], typer.Argument(help="CSVs that are to join the collection.")],
) -> None:
    """Tell what keeps a CSV out of the collection, or the name it gets there."""
    from bench.audit import collection as results
    from bench.audit import verify

    for path in files:
        found = results.check(path)
        verdict = verify.verify([path])
        if verdict.findings:
            raise BenchError(
                str(verdict.findings[0]), "a file must not be edited; measure again", exit_code=EXIT_INVALID
            )
        _print(f"{path}: {found.rows} rows may join as {results.CARDS}/{found.name}")
        for note in found.notes:
            _streams.err.print(Text(f"note: {note}"))


@_results.command("readme")
def results_readme_command(
    folder: Annotated[Path, typer.Argument(help="The collection.")] = Path("results"),
    check: Annotated[bool, typer.Option("--check", help="Only tell whether it is up to date (exit code 1).")] = False,
) -> None:
    """Write the collection's README anew from the CSVs there."""
    from bench.audit import collection as results
    from bench.storage import store

    path = folder / "README.md"
    text = results.readme(folder)
    if check:
        if path.read_text(encoding="utf-8") != text:
            _streams.err.print(f"{path} is not what the files there give: run `make results`.")
            raise typer.Exit(EXIT_REGRESSION)
        return
    store.write_atomically(path, text)
    _streams.err.print(f"wrote {path}")


# ---------------------------------------------------------------------------------------------------------------------
# verify


@app.command("verify")
def verify_command(
    files: Annotated[list[Path], typer.Argument(help="Result CSVs, or folders of them.")],
) -> None:
    """Hash every found share again and check each row against its sidecar; exit code 3 where something is wrong."""
    from bench.audit import verify

    verdict = verify.verify(files)
    for finding in verdict.findings:
        _print(str(finding))
    if verdict.findings:
        wrong = len({(finding.path, finding.line) for finding in verdict.findings})
        _streams.err.print(f"{wrong} of {verdict.rows} rows do not hold.")
        raise typer.Exit(EXIT_INVALID)
    _print(f"{verdict.rows} rows hold; {verdict.shares} shares hashed again.")


@app.command("recompute")
def recompute_command(
    files: Annotated[list[Path], typer.Argument(help="Sidecars (*.samples.jsonl), or the CSVs they belong to.")],
    csv: Annotated[bool, typer.Option("--csv", help="Print the recomputed figures.")] = False,
) -> None:
    """Compute every energy figure again from the sidecar alone; exit code 3 where its CSV says otherwise."""
    from bench.audit import recompute

    differ = 0
    for path in files:
        found = recompute.recompute(path)
        if csv:
            _print(recompute.to_csv(found.rows))
        for difference in found.differences:
            _print(f"{found.csv}, {difference}")
        differ += len(found.differences)
        beside = "no CSV beside it" if found.csv is None else f"{len(found.differences)} differences"
        _streams.err.print(f"{found.sidecar}: {len(found.rows)} windows, {beside}")
    if differ:
        raise typer.Exit(EXIT_INVALID)


# ---------------------------------------------------------------------------------------------------------------------
# what options hold


def _names(text: str | None) -> tuple[str, ...]:
    """``a, b`` → ``('a', 'b')``; None → ``()``."""
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else ()


def _numbers(text: str | None, option: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in _names(text))
    except ValueError:
        raise BenchError(
            f"{option} {text!r} is not a list of whole numbers", f"use for example {option} 1,16"
        ) from None
    if any(number < 1 for number in numbers):
        raise BenchError(f"{option} {text!r} has a number below 1", "use whole numbers from 1")
    return numbers


if __name__ == "__main__":
    main()

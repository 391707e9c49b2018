"""``bitwatt sweep``: measure at each power limit."""

from __future__ import annotations

from collections.abc import Iterator

from bench.cli import options, streams
from bench.cli.run import show_rows
from bench.measure.plan import RunPlan
from bench.model import EXIT_INVALID, EXIT_OK, BenchError


def sweep(
    plan: options.Plan = RunPlan(),
    *,
    power_limits: str = "50%..100%",
    dry_run: bool = False,
    format: options.FormatOption = "table",  # noqa: A002 - the flag's name
    quiet: options.Quiet = False,
) -> int:
    """Measure at several power limits and find the most efficient one. Changes the card's limit: needs permission.

    The old limit is restored however the command ends, even if it is killed.

    Parameters
    ----------
    power_limits
        Limits: a range such as 50%..100% or 200W..400W:50W, or a list such as 200,300,400.
    dry_run
        Print the commands that set the limits; change nothing.
    format
        Format of the result on stdout.
    quiet
        Show no progress on stderr.
    """
    from bench import output
    from bench.analysis import frontier
    from bench.measure import devices, session
    from bench.measure import sweep as sweeping
    from bench.output.progress import TerminalObserver
    from bench.power.limits import PowerLimiter

    # Only a card has a power limit, so auto means cuda here.
    wanted = "cuda" if plan.selection.device == "auto" else plan.selection.device
    choice = devices.choose(wanted)
    if len(choice.devices) != 1:
        raise BenchError(
            f"{wanted} names {len(choice.devices)} devices",
            "sweep one at a time, such as --device cuda:0",
        )
    (card,) = choice.devices
    with PowerLimiter(plan.power.source, card) as limiter:
        limits_w = sweeping.parse_limits(power_limits, limiter.range, streams.warn)
        if dry_run:
            for command in sweeping.commands(limits_w, limiter.range):
                streams.put(command)
            return EXIT_OK
        with TerminalObserver(streams.err(), quiet=quiet) as observer:

            def announce(watts: float) -> tuple[float]:
                observer.note(f"power limit {watts:g} W")
                return (watts,)

            def passes() -> Iterator[float]:
                return sweeping.sweep(limiter, limits_w, announce)

            result = session.drain(
                session.run_device(plan, card, observer, device_choice=choice.how, passes=passes, needs_watts=True)
            )
    if format == "table":
        streams.show(output.sweep(frontier.frontiers(result.records)))
    else:
        show_rows(result.records, format)
    return EXIT_OK if result.sound else EXIT_INVALID

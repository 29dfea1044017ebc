"""The page of the figures."""

from typing import Any

from benchmarks.shared.tables import table


def page(found: dict[str, Any]) -> str:
    """What was measured, in words and tables."""
    whole, rerun = found["whole"], found["rerun"]
    begin, first, last = whole["marks"][0], whole["marks"][1], whole["marks"][-1]
    handed = last["rows"] - first["rows"]
    by_clock = handed / (last["seconds"] - first["seconds"])
    by_cpu = handed / (last["cpu_seconds"] - first["cpu_seconds"])
    shown = [m for m in whole["marks"] if m["rows"] in _SHOWN or m is last]
    at = {m["rows"]: m["mebibytes"] for m in whole["marks"]}
    growth = (last["mebibytes"] / at[10_000] - 1) if 10_000 in at else float("nan")
    again = rerun["marks"][1]
    return f"""# {found["records"]:,} records, {found["workers"]} worker process, no scorer

{by_clock:,.0f} records/s by the clock, {by_cpu:,.0f} a CPU second of the driver; the first row
{first["seconds"] - begin["seconds"]:.1f} s after the run was called. Resident memory of the driver
at {last["rows"]:,} rows is {growth:+.1%} of that at 10,000.

{
        table(
            [("rows", 0), ("s since start", 1), ("CPU s of the driver", 1), ("MiB resident", 0)],
            [[f"{m['rows']:,}", m["seconds"], m["cpu_seconds"], m["mebibytes"]] for m in shown],
        )
    }

Started again without its last hundredth: {rerun["resumed"]:,} rows were there, {
        rerun["rows"]:,} are
made; the first of them {again["seconds"]:.1f} s after the process was started
({again["cpu_seconds"]:.1f} s of CPU), {again["seconds"] - rerun["marks"][0]["seconds"]:.1f} s after
the run was called.
"""


_SHOWN = {1, 10_000, 100_000, 300_000, 1_000_000}

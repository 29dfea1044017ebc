"""What the kills came to, as a record and as a page."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.kills.folders import Difference
from benchmarks.kills.kills import Kill
from benchmarks.shared.tables import table

Run = tuple[str, int]


def record(
    kills: Sequence[Kill],
    found: Sequence[dict[str, Any]],
    ends: Mapping[Run, list[str]],
    differences: Mapping[Run, Sequence[Difference]],
    twice: Mapping[Run, Difference],
) -> dict[str, Any]:
    """Counts by run, signal and moment; the finished runs against undisturbed ones; faults."""
    pairs = list(zip(kills, found, strict=True))
    counts = {
        "signal": [kill.signal.name for kill in kills],
        "moment": [kill.moment for kill in kills],
    }
    runs = {}
    for run, finished in differences.items():
        runs[_name(run)] = {
            "kills": sum(kill.run == run for kill in kills),
            "finished": len(finished),
            "rows": sum(d.rows for d in finished),
            "bitwise": sum(d.bitwise for d in finished),
            "largest_difference": max((d.largest for d in finished), default=0.0),
            "bitwise_undisturbed": twice[run].bitwise / twice[run].rows if run in twice else None,
        }
    return {
        "kills": len(kills),
        "continued": sum(0 < came["rows"][1] for came in found),
        "runs": runs,
        "by": {
            key: {name: _count(pairs, values, name) for name in sorted(set(values))}
            for key, values in counts.items()
        },
        "wrong": [
            {
                "run": _name(kill.run),
                "signal": kill.signal.name,
                "moment": kill.moment,
                "share": kill.share,
                "group": kill.group,
            }
            | came
            for kill, came in pairs
            if came["wrong"]
        ]
        + [{"run": _name(run), "wrong": wrong} for run, wrong in ends.items() if wrong],
    }


def page(found: dict[str, Any]) -> str:
    """The record as a page."""
    finished = sum(run["finished"] for run in found["runs"].values())
    lines = [
        f"{found['kills']} kills, after which {finished} runs came to their end; "
        f"{len(found['wrong'])} faults.",
        "",
        "Runs that were killed against undisturbed ones: equal scores, and the largest difference, "
        "nats; beside them two undisturbed runs.",
        "",
        table(
            [
                *("run", "kills", "finished", "rows", "equal"),
                *(("difference", 6), "equal, undisturbed"),
            ],
            [
                [
                    *(name, run["kills"], run["finished"], run["rows"]),
                    run["bitwise"] / run["rows"] if run["rows"] else None,
                    run["largest_difference"],
                    run["bitwise_undisturbed"],
                ]
                for name, run in found["runs"].items()
            ],
        ),
    ]
    for title, key in (("Signal", "signal"), ("Moment", "moment")):
        rows = [
            [name, c["kills"], ", ".join(f"{s}: {n}" for s, n in c["statuses"].items()), c["wrong"]]
            for name, c in found["by"][key].items()
        ]
        lines += ["", table([title, "kills", "exit status", "faults"], rows)]
    return "\n".join(lines)


def _name(run: Run) -> str:
    return f"{run[0]}, {run[1]} process{'es' if run[1] > 1 else ''}"


def _count(
    pairs: Sequence[tuple[Kill, dict[str, Any]]], values: Sequence[str], name: str
) -> dict[str, Any]:
    those = [came for (_, came), value in zip(pairs, values, strict=True) if value == name]
    statuses = sorted({came["status"] for came in those}, key=str)
    return {
        "kills": len(those),
        "statuses": {str(s): sum(came["status"] == s for came in those) for s in statuses},
        "wrong": sum(bool(came["wrong"]) for came in those),
    }

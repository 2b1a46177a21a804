"""Format the results of the comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.differential.comparison import Comparison, Difference, Verdict

__all__ = ["report", "unused_explanations"]


def report(comparisons: Sequence[Comparison], *, explained: bool = False, transcripts: bool = False) -> str:
    """Return one line for each program, then the differing lines without a known reason.

    Loops with the same differences are grouped. With *explained*, also show the lines that differ for a known reason.
    With *transcripts*, also show everything that this library did.
    """
    grouped = list(_grouped(comparisons))
    lines = [f"{loops[0].verdict.value:<9}  {_heading(loops)}" for loops in grouped]
    for loops in grouped:
        if loops[0].verdict is Verdict.DIFFERS or (explained and loops[0].verdict is Verdict.EXPLAINED):
            lines += ["", _heading(loops), "  - EasyNetwork 1.2, + this library", *_diff(loops[0])]
    if transcripts:
        for comparison in comparisons:
            lines += ["", f"transcript of {comparison.name}", *(f"  {line}" for line in comparison.transcript)]
    if reasons := _reasons(comparisons):
        lines += [
            "",
            "Explained in docs/coming-from/easynetwork.md:",
            *(f"  {reason} ({count})" for reason, count in reasons.items()),
        ]
    for name, pattern in unused_explanations(comparisons):
        lines.append(f"{name}: nothing differs at {pattern!r}; the explanation is not needed.")
    count = {verdict: sum(comparison.verdict is verdict for comparison in comparisons) for verdict in Verdict}
    programs = len({comparison.program.name for comparison in comparisons})
    lines += [
        "",
        f"{programs} programs, {len(comparisons)} runs: {', '.join(f'{n} {v.value}' for v, n in count.items())}",
    ]
    return "\n".join(lines)


def _grouped(comparisons: Sequence[Comparison]) -> Iterator[list[Comparison]]:
    """Yield runs of the same program that differ in the same way."""
    groups: dict[tuple[str, tuple[Difference, ...]], list[Comparison]] = {}
    for comparison in comparisons:
        groups.setdefault((comparison.program.name, comparison.differences), []).append(comparison)
    yield from groups.values()


def _heading(loops: Sequence[Comparison]) -> str:
    on = f" [{', '.join(comparison.loop for comparison in loops)}]" if loops[0].loop else ""
    return f"{loops[0].program.name}{on}: {loops[0].program.purpose}"


def unused_explanations(comparisons: Sequence[Comparison]) -> Iterator[tuple[str, str]]:
    """Yield the program and the pattern of each explanation that no loop needs."""
    used = {
        (comparison.program.name, difference.reason)
        for comparison in comparisons
        for difference in comparison.differences
    }
    for program in dict.fromkeys(comparison.program.name for comparison in comparisons):
        explained = next(c.program.explained for c in comparisons if c.program.name == program)
        for pattern, reason in explained.items():
            if (program, reason) not in used:
                yield program, pattern


def _diff(comparison: Comparison) -> Iterator[str]:
    for difference in comparison.differences:
        known = "" if difference.reason is None else f"   ({difference.reason})"
        yield f"  {difference.sign} {difference.line}{known}"


def _reasons(comparisons: Sequence[Comparison]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for comparison in comparisons:
        for reason in dict.fromkeys(d.reason for d in comparison.differences if d.reason is not None):
            counts[reason] = counts.get(reason, 0) + 1
    return counts

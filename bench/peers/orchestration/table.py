"""Figures as a person reads them."""

HEADS = ("scenario", "system", "mode", "version", "median", "min", "max", "n", "commits/step", "syncs/step", "note")


def of(figures: list[dict]) -> str:
    measured = [figure for figure in figures if "median" in figure]
    measured.sort(key=lambda one: (one["scenario"], one["median"] * (1 if one["unit"] == "ms" else -1)))
    rows = [HEADS, *(_row(figure) for figure in measured)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += ["", *(line(figure) for figure in figures if "skipped" in figure)]
    durable = {f"{figure['system']}, {figure['mode']}": figure["durable"] for figure in measured}
    lines += ["What a step leaves on the disk:", *(f"  {name}: {words}" for name, words in durable.items())]
    return "\n".join(lines)


def line(figure: dict) -> str:
    name = ", ".join(figure[key] for key in ("system", "mode", "scenario") if figure.get(key))
    if "skipped" in figure:
        return f"{name}: skipped: {figure['skipped']}"
    commits = figure["commits_per_step"]
    counted = "not counted" if commits is None else f"{commits} per step"
    return f"{name}: {_number(figure['median'])} {figure['unit']} (durable commits {counted})"


def _row(figure: dict) -> tuple[str, ...]:
    return (
        figure["scenario"],
        figure["system"],
        figure["mode"],
        figure["version"],
        f"{_number(figure['median'])} {figure['unit']}",
        _number(figure["min"]),
        _number(figure["max"]),
        str(figure["samples"]),
        *("?" if figure[key] is None else f"{figure[key]:.2f}" for key in ("commits_per_step", "syncs_per_step")),
        figure["note"] or "",
    )


def _number(value: float) -> str:
    return f"{value:.1f}" if value < 1000 else f"{value:.0f}"

"""The activity chart: commits per week as bars, drawn as SVG by hand."""

import math
from datetime import date
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 960, 340
LEFT, RIGHT, TOP, BOTTOM = 56, 24, 84, 52
LABEL = 92  # the room a date needs

STYLE = """
  .page { fill: #ffffff } .grid { stroke: #e6e8ee } .axis { stroke: #b9bfcc }
  text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #5b6372; font-size: 12px }
  .title { fill: #171b24; font-size: 20px; font-weight: 650 } .sub { font-size: 13px }
  .bar { fill: url(#bar) } .bar.top { fill: url(#top) } .peak { fill: #c2410c; font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #12151c } .grid { stroke: #262b36 } .axis { stroke: #475067 }
    text { fill: #9aa3b5 } .title { fill: #f2f4f8 } .peak { fill: #fb923c }
  }
"""


def draw(repository, weeks):
    """The chart of `weeks` (`monday`, `commits`, `added`, `deleted`), which may be a single one."""
    most = max(week.commits for week in weeks)
    scale = ticks(most)
    plot_width, plot_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    base = TOP + plot_height
    slot = plot_width / len(weeks)
    bar = max(2.0, min(slot * 0.72, 44))
    parts = [_head(repository, weeks), *_grid(scale, plot_height, base)]
    peak = next(at for at, week in enumerate(weeks) if week.commits == most)
    for at, week in enumerate(weeks):
        center = LEFT + slot * (at + 0.5)
        height = plot_height * week.commits / scale[-1]
        if week.commits:
            parts.append(_bar(week, center, bar, base, height, at == peak))
        if at == peak:
            parts.append(f'<text class="peak" x="{center:.1f}" y="{base - height - 7:.1f}" text-anchor="middle">{most}</text>')
    parts += _weeks(weeks, slot, base)
    return "\n".join([*parts, "</svg>", ""])


def ticks(most):
    """Round numbers from 0 to at least `most`, three to six of them."""
    step = 1
    while most / step > 5:  # 1, 2, 5, 10, 20, 50, …
        step = step * 5 // 2 if str(step).startswith("2") else step * 2
    count = max(2, math.ceil(most / step))
    return [step * n for n in range(count + 1)]


def _head(repository, weeks):
    commits, added, deleted = (sum(getattr(week, key) for week in weeks) for key in ("commits", "added", "deleted"))
    span = f"{weeks[0].monday} – {weeks[-1].monday}" if len(weeks) > 1 else f"the week of {weeks[0].monday}"
    told = f"{commits:,} commit{'' if commits == 1 else 's'} · +{added:,} −{deleted:,} lines · {span}"
    name = escape(repository, {'"': "&quot;"})
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="Commits per week of {name}">
<style>{STYLE}</style>
<defs>
  <linearGradient id="bar" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#3b82f6"/><stop offset="1" stop-color="#6366f1"/></linearGradient>
  <linearGradient id="top" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#f97316"/><stop offset="1" stop-color="#db2777"/></linearGradient>
</defs>
<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="14"/>
<text class="title" x="{LEFT - 28}" y="36">Commits per week · {name}</text>
<text class="sub" x="{LEFT - 28}" y="58">{escape(told)}</text>"""


def _grid(scale, plot_height, base):
    for value in scale:
        y = base - plot_height * value / scale[-1]
        kind = "grid" if value else "axis"
        yield f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{value}</text>'


def _bar(week, center, width, base, height, is_peak):
    radius = min(4.0, width / 2, height)
    left, right, top = center - width / 2, center + width / 2, base - height
    told = f"week of {week.monday}: {week.commits} commits, +{week.added} −{week.deleted} lines"
    path = (
        f"M{left:.1f} {base:.1f}V{top + radius:.1f}Q{left:.1f} {top:.1f} {left + radius:.1f} {top:.1f}"
        f"H{right - radius:.1f}Q{right:.1f} {top:.1f} {right:.1f} {top + radius:.1f}V{base:.1f}Z"
    )
    return f'<path class="bar{" top" if is_peak else ""}" d="{path}"><title>{escape(told)}</title></path>'


def _weeks(weeks, slot, base):
    """A date under every so many bars, so that they do not run into each other; the year when it is new."""
    every = max(1, math.ceil(LABEL / slot))
    year = None
    for at in range(0, len(weeks), every):
        center = LEFT + slot * (at + 0.5)
        if at and center > WIDTH - RIGHT - LABEL / 2:
            break
        monday = date.fromisoformat(weeks[at].monday)
        told = f"{monday.day} {monday:%b}" if monday.year == year else f"{monday.day} {monday:%b %Y}"
        year = monday.year
        yield f'<text class="week" x="{center:.1f}" y="{base + 22:.1f}" text-anchor="middle">{told}</text>'

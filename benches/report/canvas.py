"""SVG with CSS variables as colors, so that one plot suits light and dark pages."""

import functools
import html
import io
import re
from collections.abc import Callable
from typing import ParamSpec

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Colors of the light page. Each is unique: it stands for its CSS variable in matplotlib's output.
COLORS = {
    "ink": "#1d1f21",
    "soft": "#5f666d",
    "line": "#dcdcd8",
    "ours": "#0b62a4",
    "other": "#a9b2bb",
    "baseline": "#c8a24a",
    "series-1": "#0b62a5",
    "series-2": "#c4561a",
    "series-3": "#2b8a5b",
    "series-4": "#8a4fa3",
    "series-5": "#8c6d1f",
    "series-6": "#5f6f80",
    "series-7": "#1b8796",
    "series-8": "#b0446f",
    "paper": "#fefefe",
}
DARK = {
    "ink": "#e7e9ea",
    "soft": "#a3abb2",
    "line": "#3a3f44",
    "ours": "#6cb6f2",
    "other": "#69727b",
    "baseline": "#b08f3f",
    "series-1": "#6cb6f2",
    "series-2": "#f09060",
    "series-3": "#63c495",
    "series-4": "#c795dd",
    "series-5": "#d1b458",
    "series-6": "#9fb0c0",
    "series-7": "#5fc6d4",
    "series-8": "#ee8fb2",
    "paper": "#16181a",
}
SERIES = [f"series-{number}" for number in range(1, 9)]
_WIDTH = 6.4
_MARGIN = 14
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "fastpack",
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "text.color": COLORS["ink"],
    "axes.edgecolor": COLORS["line"],
    "axes.labelcolor": COLORS["soft"],
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": COLORS["line"],
    "grid.linewidth": 0.7,
    "xtick.color": COLORS["soft"],
    "ytick.color": COLORS["soft"],
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
}

Arguments = ParamSpec("Arguments")


def styled(draw: Callable[Arguments, str]) -> Callable[Arguments, str]:
    @functools.wraps(draw)
    def styled(*arguments: Arguments.args, **options: Arguments.kwargs) -> str:
        with mpl.rc_context(_STYLE):
            return draw(*arguments, **options)

    return styled


def figure_of(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def tip(artist: mpl.artist.Artist, text: str) -> None:
    """Add a tooltip."""
    artist.set_gid(f"tip:{text}")


def svg_of(figure: Figure) -> str:
    """Return SVG markup for a page: named colors, and only identifiers that are used."""
    drawn = io.StringIO()
    figure.savefig(
        drawn,
        format="svg",
        transparent=True,
        metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
    )
    svg = drawn.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
    svg = re.sub(
        r"<g id=\"tip:(.*?)\">",
        lambda match: f"<g><title>{html.escape(html.unescape(match[1]))}</title>",
        svg,
    )
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.S)
    svg = re.sub(r"(<(?:g|svg)[^>]*?) id=\"[\w.]+\"", r"\1", svg)
    svg = re.sub(r"font: ([^;\"]*?)'DejaVu Sans'[^;\"]*", r"font: \1system-ui, sans-serif", svg)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: system-ui, sans-serif", svg)
    for name, color in COLORS.items():
        svg = svg.replace(color, f"var(--{name})")
    return re.sub(r">\s+<", "><", svg)


def on_card(svg: str) -> str:
    light = "".join(f"--{name}:{color};" for name, color in (COLORS | {"card": "#ffffff"}).items())
    dark = "".join(f"--{name}:{color};" for name, color in (DARK | {"card": "#1b1e21"}).items())
    style = f"<style>svg{{{light}}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}</style>"
    (width, height), *_ = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    inside = svg[svg.index(">") + 1 : svg.rindex("</svg>")]
    box = f"{-_MARGIN} {-_MARGIN} {float(width) + 2 * _MARGIN:g} {float(height) + 2 * _MARGIN:g}"
    card = (
        f'<rect x="{-_MARGIN}" y="{-_MARGIN}" width="100%" height="100%" rx="10" '
        'style="fill: var(--card)"/>'
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">{style}{card}{inside}</svg>\n'

"""How figures look and how they become bytes.

Every figure must be readable in greyscale: series differ in lightness, marker, dash and hatch, never in hue alone.
Figures are made with matplotlib's objects (no pyplot, no global state) under one fixed style, so the same frame gives
the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FigureFormat = Literal["pdf", "png"]

#: Width of the two columns of a conference paper, in inches.
TWO_COLUMNS_IN = 7.16
PNG_DPI = 200
SMALL_PT = 6.5

_STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same on every machine
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "xtick.labelsize": SMALL_PT,
    "ytick.labelsize": SMALL_PT,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": SMALL_PT,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.4,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.6,
    "hatch.linewidth": 0.5,
    "pdf.fonttype": 42,  # TrueType: publishers refuse Type 3
}


@dataclass(frozen=True)
class SeriesStyle:
    """How one design is drawn, as a line or as bars."""

    color: str
    marker: str
    dash: str | tuple[float, tuple[float, ...]]
    hatch: str


#: The first one is the baseline's alone. Their lightness (CIE L*) is 10, 37, 55, 74, 40, 69, 61, 47, 29, 87.
_SERIES = (
    SeriesStyle("#1c1c1c", "o", "solid", ""),
    SeriesStyle("#0b5a9a", "s", "solid", ""),
    SeriesStyle("#d4622a", "^", (0, (4.0, 1.2)), "////"),
    SeriesStyle("#e8ab3f", "D", (0, (1.2, 1.2)), "...."),
    SeriesStyle("#7b4a8e", "v", (0, (5.0, 1.2, 1.2, 1.2)), "\\\\\\\\"),
    SeriesStyle("#6bb3d6", "P", (0, (2.5, 1.0)), "xxxx"),
    SeriesStyle("#5fa277", "X", (0, (7.0, 1.5)), "----"),
    SeriesStyle("#8a6d3b", "*", (0, (5.0, 1.0, 1.0, 1.0, 1.0, 1.0)), "||||"),
    SeriesStyle("#6e2f2f", "<", (0, (3.0, 2.0)), "++++"),
    SeriesStyle("#d8d8c0", ">", (0, (8.0, 1.0, 2.0, 1.0)), "oooo"),
)


def _series_style(index: int) -> SeriesStyle:
    """Style of the design at a place behind the baseline; a color that comes again has another marker and hatch."""
    count = len(_SERIES) - 1
    style, other = _SERIES[1 + index % count], _SERIES[1 + (index + index // count) % count]
    return replace(style, marker=other.marker, dash=other.dash, hatch=other.hatch)


#: Fills of stacked parts from the bottom up: dark to light, every other one hatched.
_PARTS = (
    ("#1f2d3a", ""),
    ("#2f5b88", "////"),
    ("#5b8fb9", ""),
    ("#d98d66", "\\\\\\\\"),
    ("#8fc3b0", ""),
    ("#edc488", "...."),
    ("#c4dbea", ""),
    ("#f6e3bd", "////"),
    ("#f4f4f4", ""),
)
MAX_PARTS = len(_PARTS)


@dataclass(frozen=True)
class PartStyle:
    """How one part of a stacked bar is filled."""

    color: str
    hatch: str
    edge: str


def part_styles(count: int) -> tuple[PartStyle, ...]:
    """Styles for the parts of a stack, bottom first; at most :data:`MAX_PARTS`."""
    return tuple(
        PartStyle(color, hatch, "#ffffff" if index < len(_PARTS) // 2 else "#555555")
        for index, (color, hatch) in enumerate(_PARTS[:count])
    )


@dataclass(frozen=True)
class Designs:
    """The designs of a frame in drawing order, the baseline first, with their labels and styles."""

    names: tuple[str, ...]
    labels: Mapping[str, str]
    styles: Mapping[str, SeriesStyle]

    @classmethod
    def of(cls, results: pd.DataFrame, column: str, baseline: str | None, labels: Mapping[str, str] | None) -> Designs:
        """Read the designs off a frame; the baseline is the first one unless named.

        Order and styles follow `labels`, then the frame: the same labels give a design the same style in every figure,
        whichever other designs a frame holds. Raises ValueError where the baseline is not in the frame.
        """
        labels = dict(labels or {})
        present = [str(name) for name in results[column].unique()]
        if baseline is None:
            baseline = present[0]
        if baseline not in present:
            raise ValueError(f"the baseline {baseline!r} is not among the designs {', '.join(present)}")
        order = list(dict.fromkeys((baseline, *labels, *present)))
        styles = {name: _series_style(index) for index, name in enumerate(order[1:])}
        styles[baseline] = _SERIES[0]
        return cls(tuple(name for name in order if name in present), labels, styles)

    @property
    def baseline(self) -> str:
        return self.names[0]

    def label(self, name: str) -> str:
        return self.labels.get(name, name)

    def label_width_in(self) -> float:
        """Width of the widest label."""
        return max(text_width_in(self.label(name)) for name in self.names)


@contextmanager
def house_style() -> Iterator[None]:
    """matplotlib's defaults plus ours, whatever the user's own settings; restored on the way out."""
    import matplotlib.style

    with matplotlib.style.context(["default", _STYLE]):
        yield


@dataclass(frozen=True)
class Margins:
    """Room around and between panels, in inches."""

    left: float = 0.5
    right: float = 0.1
    top: float = 0.25
    bottom: float = 0.6
    across: float = 0.5
    down: float = 0.9

    def panel_width_in(self, count: int, figure_in: float = TWO_COLUMNS_IN) -> float:
        """Width of one of `count` equal panels side by side in a figure of a given width."""
        return (figure_in - self.left - self.right - (count - 1) * self.across) / count


def panels(rows: Sequence[Sequence[float]], height_in: float, margins: Margins) -> tuple[Figure, list[list[Axes]]]:
    """A figure of rows of panels, each panel given by its width, all equally high; all lengths in inches.

    The figure grows with its panels, so that type and lines keep their size. Placed by hand: layout engines draw every
    figure several times.
    """
    from matplotlib.figure import Figure

    width = margins.left + max(sum(row) + (len(row) - 1) * margins.across for row in rows) + margins.right
    height = margins.top + len(rows) * height_in + (len(rows) - 1) * margins.down + margins.bottom
    figure = Figure(figsize=(width, height))
    axes: list[list[Axes]] = []
    bottom = height - margins.top - height_in
    for row in rows:
        left = margins.left
        axes.append([])
        for panel_in in row:
            place = (left / width, bottom / height, panel_in / width, height_in / height)
            axes[-1].append(figure.add_axes(place))
            left += panel_in + margins.across
        bottom -= height_in + margins.down
    return figure, axes


def text_width_in(text: str, size_pt: float = SMALL_PT) -> float:
    """How wide a line of text is, in inches. To be called under :func:`house_style`, which sets the font."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    width_pt, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=size_pt), ismath=False)
    return float(width_pt) / 72


def spread(centres: Sequence[float], heights: Sequence[float], low: float, high: float) -> tuple[float, ...]:
    """Centres (ascending) moved as little as needed so that boxes of these heights do not overlap.

    The boxes stay between `low` and `high`, unless all of them together are higher than that. Without the heights below
    it, a box's place may not be lower than its neighbour's: a monotone fit, found by pooling violators.
    """
    below = [sum(heights[:index]) for index in range(len(heights))]
    pools: list[list[float]] = []
    for centre, height, offset in zip(centres, heights, below, strict=True):
        pools.append([centre - height / 2 - offset])
        while len(pools) > 1 and fmean(pools[-2]) > fmean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    fitted = [fmean(pool) for pool in pools for _ in pool]
    top = high - sum(heights)
    return tuple(
        max(low, min(top, place)) + offset + height / 2
        for place, offset, height in zip(fitted, below, heights, strict=True)
    )


def figure_bytes(figure: Figure, file_format: FigureFormat) -> bytes:
    """The figure as a file's content, without dates or versions in it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    buffer = io.BytesIO()
    with house_style():
        if file_format == "pdf":
            metadata = {"CreationDate": None, "Creator": None, "Producer": None}
            FigureCanvasPdf(figure).print_figure(buffer, format="pdf", metadata=metadata)
        else:
            FigureCanvasAgg(figure).print_figure(buffer, format="png", dpi=PNG_DPI, metadata={"Software": None})
    return buffer.getvalue()

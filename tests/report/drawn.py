"""What stands on a figure, for tests to look at."""

from collections.abc import Collection

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from timeloop_py.report.style import house_style


def text_boxes(figure: Figure, texts: Collection[str]) -> list[Bbox]:
    """The boxes these texts take on the drawn figure, in pixels."""
    with house_style():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        found = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text() in texts]
        return [text.get_window_extent(canvas.get_renderer()) for text in found]


def overhang_in(figure: Figure) -> float:
    """How far anything drawn reaches beyond the page, in inches; negative where there is room left."""
    with house_style():
        box = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer())
    width, height = figure.get_size_inches()
    return float(max(-box.x0, -box.y0, box.x1 - width, box.y1 - height))


def bars(ax: Axes) -> dict[str, list[tuple[float, float]]]:
    """Bottom and height of every bar, by series."""
    return {
        str(container.get_label()): [(bar.get_y(), bar.get_height()) for bar in container.patches]
        for container in ax.containers
        if isinstance(container, BarContainer)
    }


def stacks(ax: Axes) -> dict[str, dict[float, tuple[float, float]]]:
    """Bottom and top of every box of a stacked figure by its middle, by part."""
    return {
        str(part.get_label()): {
            round(float(box.vertices[:, 0].min() + box.vertices[:, 0].max()) / 2, 9): (
                float(box.vertices[:, 1].min()),
                float(box.vertices[:, 1].max()),
            )
            for box in part.get_paths()
        }
        for part in ax.collections
    }


def lightness(color: object) -> float:
    """CIE L* of a colour, what is left of it in greyscale: 0 is black, 100 is white."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]  # type: ignore[arg-type]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 116 * luminance ** (1 / 3) - 16 if luminance > 0.008856 else 903.3 * luminance

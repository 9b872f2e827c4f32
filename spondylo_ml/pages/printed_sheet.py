"""One A4 sheet as a PDF: text and tables that are as high as they must be, black on white.

Matplotlib writes the PDF, and measures the text by the letters that it embeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from spondylo_ml.film_report.report_texts import ReportTexts

WIDTH_PT, HEIGHT_PT = 595.28, 841.89
MARGIN_PT = 36.0
TEXT_PT = 8.0
"""Size of the smallest letters."""

LINE = 1.25
"""Distance of two lines, in sizes of their letters."""

CELL_PT = 6.0
"""Space between two columns of a table."""


@dataclass(frozen=True)
class Box:
    """A rectangle of the sheet: its left and upper edge and its size, in points from the upper left corner."""

    left: float
    top: float
    width: float
    height: float

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.top + self.height


@dataclass(frozen=True)
class Column:
    """A column of a table: its head, its width in points, and whether its cells are aligned to the right."""

    head: str
    width: float
    right: bool = False


@dataclass(frozen=True)
class Table:
    """A table with bold heads and a bold first column."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]

    @property
    def lines(self) -> list[tuple[list[tuple[str, ...]], float]]:
        """For each row, the heads first, the lines of its cells, and its height in points."""
        lines = []
        for number, row in enumerate(([column.head for column in self.columns], *self.rows)):
            cells = [
                wrapped(cell, column.width - CELL_PT, TEXT_PT, number == 0 or place == 0)
                for place, (column, cell) in enumerate(zip(self.columns, row, strict=True))
            ]
            lines.append((cells, max(map(len, cells)) * LINE * TEXT_PT + 2.5))
        return lines

    @property
    def height(self) -> float:
        """Its height in points."""
        return sum(height for _, height in self.lines)


class PrintedSheet:
    """The sheet; places are in points from its upper left corner."""

    def __init__(self) -> None:
        from matplotlib.figure import Figure

        self.figure = Figure(figsize=(WIDTH_PT / 72, HEIGHT_PT / 72), facecolor="white")

    def text(
        self, text: str, left: float, top: float, size: float = TEXT_PT, bold: bool = False, right: bool = False
    ) -> None:
        """One line of text; `left` is its right end if it is aligned to the right."""
        self.figure.text(
            left / WIDTH_PT,
            1 - (top + size) / HEIGHT_PT,
            text,
            fontsize=size,
            fontweight="bold" if bold else "normal",
            ha="right" if right else "left",
            va="baseline",
            color="black",
            parse_math=False,
        )

    def paragraph(self, text: str, box: Box, size: float = TEXT_PT, bold: bool = False) -> float:
        """Lines of text within the width of the box; returns their lower edge."""
        top = box.top
        for line in wrapped(text, box.width, size, bold):
            self.text(line, box.left, top, size, bold)
            top += LINE * size
        return top

    def paragraphs(self, paragraphs: Sequence[str], box: Box, texts: ReportTexts) -> float:
        """Paragraphs within the box, as many as there is room for; returns their lower edge.

        Where not all fit, the last line says how many are left out.
        """
        shown = next(
            shown
            for fitting in range(len(paragraphs), -1, -1)
            if paragraphs_height(shown := _first(paragraphs, fitting, texts), box.width) <= box.height or not fitting
        )
        top = box.top
        for text in shown:
            top = self.paragraph(text, Box(box.left, top, box.width, 0)) + 1
        return top

    def rule(self, left: float, top: float, width: float, line_pt: float = 0.5) -> None:
        """A horizontal line."""
        from matplotlib.lines import Line2D

        y = 1 - top / HEIGHT_PT
        self.figure.add_artist(
            Line2D([left / WIDTH_PT, (left + width) / WIDTH_PT], [y, y], color="black", linewidth=line_pt)
        )

    def table(self, table: Table, left: float, top: float) -> float:
        """A table whose cells have as many lines as they need; returns its lower edge."""
        for number, (cells, height) in enumerate(table.lines):
            x = left
            for column, lines in zip(table.columns, cells, strict=True):
                at = x + column.width - CELL_PT if column.right else x
                for line_number, line in enumerate(lines):
                    y = top + 1 + line_number * LINE * TEXT_PT
                    self.text(line, at, y, bold=number == 0 or x == left, right=column.right)
                x += column.width
            top += height
            self.rule(left, top, x - left, 0.8 if number == 0 else 0.3)
        return top

    def axes(self, box: Box) -> Any:
        """Axes for a picture that fill the box."""
        rectangle = (
            box.left / WIDTH_PT,
            1 - box.bottom / HEIGHT_PT,
            box.width / WIDTH_PT,
            box.height / HEIGHT_PT,
        )
        axes = self.figure.add_axes(rectangle)
        axes.set_axis_off()
        return axes

    def write(self, path: Path, title: str) -> Path:
        """Write the sheet; the file has no date, so that the same sheet is the same file."""
        from matplotlib import rc_context
        from matplotlib.backends.backend_pdf import FigureCanvasPdf

        with rc_context({"pdf.fonttype": 42}):  # TrueType: text can be searched and copied
            canvas = FigureCanvasPdf(self.figure)
            canvas.print_pdf(path, metadata={"Title": title, "CreationDate": None})  # type: ignore[no-untyped-call]
        return path


def paragraphs_height(texts: Sequence[str], width: float) -> float:
    """Height of paragraphs of the smallest letters."""
    return sum(len(wrapped(text, width)) * LINE * TEXT_PT + 1 for text in texts)


@lru_cache(maxsize=4096)
def wrapped(text: str, width: float, size: float = TEXT_PT, bold: bool = False) -> tuple[str, ...]:
    """The lines of a text; a word that is too long for a line is split."""
    lines, line = [], ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if text_width(joined, size, bold) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        while text_width(word, size, bold) > width and len(word) > 1:
            fitting = next(
                n for n in range(len(word) - 1, 0, -1) if n == 1 or text_width(word[:n], size, bold) <= width
            )
            lines.append(word[:fitting])
            word = word[fitting:]
        line = word
    return (*lines, line)


@lru_cache(maxsize=16384)
def text_width(text: str, size: float, bold: bool = False) -> float:
    """Width of a line in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size, weight="bold" if bold else "normal")
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])


def _first(paragraphs: Sequence[str], count: int, texts: ReportTexts) -> list[str]:
    """The first paragraphs, and a line about the others."""
    left_out = len(paragraphs) - count
    return [*paragraphs[:count], *([texts.text("more", count=left_out)] if left_out else [])]

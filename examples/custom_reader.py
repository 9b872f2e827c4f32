"""Read a dataset in a custom layout: films beside a table of corners.

corners.csv   file,slot,x1,y1,x2,y2,x3,y3,x4,y4   one row a vertebra; slot 0 is S1, 1 is L5 and so on
*.png         the films
"""

from pathlib import Path

import cv2
import pandas as pd

import spondylo_ml
from spondylo_ml.data.films import FileImage, FilmSet
from spondylo_ml.landmarks import Facing, Film, SlotRange, Vertebra

TABLE = "corners.csv"


class CsvReader:
    """Reads the layout described above."""

    kind = "csv"
    layout = f"films beside a {TABLE}"
    marks = (TABLE,)

    def recognises(self, root: Path) -> bool:
        return (root / TABLE).is_file()

    def read(self, root: Path) -> FilmSet:
        table = pd.read_csv(root / TABLE)
        films = tuple(self._film(root / str(file), rows) for file, rows in table.groupby("file"))
        return FilmSet(self.kind, root.name, films, SlotRange(first=0, count=10))

    def _film(self, path: Path, rows: pd.DataFrame) -> Film:
        corners = rows.sort_values("slot")[[f"{axis}{n}" for n in range(1, 5) for axis in "xy"]].to_numpy()
        vertebrae = [Vertebra(s, c.reshape(4, 2)) for s, c in zip(sorted(rows["slot"]), corners, strict=True)]
        height, width = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).shape
        return Film(
            film_id=path.stem,
            image=FileImage(path),
            size_hw=(height, width),
            vertebrae=tuple(vertebrae),
            facing=Facing.UNKNOWN,  # inferred from the shape of the bodies
            patient=path.stem,  # films of one patient stay in one part
            source="my clinic",
        )


spondylo_ml.register_reader(CsvReader())

if __name__ == "__main__":
    folder = Path("csv_films")  # a small dataset to read: synthetic films in the layout
    folder.mkdir(exist_ok=True)
    rows = []
    for film in spondylo_ml.draw_phantoms(4, seed=5, long_side_px=320):
        cv2.imwrite(str(folder / f"{film.film_id}.png"), film.image.read())
        rows += [[f"{film.film_id}.png", v.slot, *v.corners_xy.ravel()] for v in film.vertebrae]
    columns = ["file", "slot", *(f"{axis}{n}" for n in range(1, 5) for axis in "xy")]
    pd.DataFrame(rows, columns=columns).to_csv(folder / TABLE, index=False)

    films = spondylo_ml.read_films(folder)  # the layout is recognised; spondylo_ml.train(data=folder) reads it too
    for film in films:
        slips = [f"{level.name} {level.slip}" for level in spondylo_ml.measure(film).levels if level.grade]
        print(film.film_id, f"{len(film.vertebrae)} vertebrae,", ", ".join(slips) or "no slip")

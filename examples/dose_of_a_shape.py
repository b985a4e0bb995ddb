"""The dose to a shape that you made yourself: structures and doses are values, no files are needed."""

import numpy as np
from shapely.geometry import MultiPolygon, Point

import rtqc


def main() -> None:
    """A cylinder in a dose that rises by 0.1 Gy per mm."""
    planes = {z: MultiPolygon([Point(0, 0).buffer(20)]) for z in np.arange(-30.0, 31.0, 3.0)}
    cylinder = rtqc.Structure("Cylinder", planes)
    grid = rtqc.Grid.regular(shape=(40, 60, 60), spacing_mm=(3.0, 2.0, 2.0), origin_mm=(-59, -59, -58))
    gy = 10 + 0.1 * np.broadcast_to(grid.columns_mm[None, None, :], grid.shape)
    histogram = rtqc.dvh(cylinder, rtqc.Dose(grid, gy.astype(np.float32)))
    print(f"{histogram.volume_ml:.1f} ml, mean {histogram.mean_gy:.2f} Gy, D2% {histogram.dose_at_percent_gy(2):.2f} Gy")


if __name__ == "__main__":
    main()

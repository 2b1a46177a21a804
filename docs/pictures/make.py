"""Write the pictures of the documentation: `python docs/pictures/make.py [FOLDER]`.

The default is the folder of this file. The picture of the benchmarks shows the results of the latest run.
"""

from __future__ import annotations

__all__ = ["pictures"]

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def pictures() -> dict[str, str]:
    """Return the text of each file, by its name."""
    from docs.pictures import connection_life, draining, packet_path
    from docs.pictures.drawing import versions

    from benchmarks.publish import LATEST, picture
    from benchmarks.results import from_json

    return {
        **versions("packet_path", packet_path.draw),
        **versions("connection_life", connection_life.draw),
        **versions("draining", draining.draw),
        **picture(from_json(LATEST.read_text())[0]),
    }


if __name__ == "__main__":
    # As a script, Python searches for modules beside this file, but `docs` and `benchmarks` are two levels up.
    sys.path[0] = str(FOLDER.parents[1])
    target = Path(sys.argv[1]) if sys.argv[1:] else FOLDER
    for name, text in pictures().items():
        (target / name).write_text(text)

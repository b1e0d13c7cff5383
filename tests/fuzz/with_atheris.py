"""`python -m fuzz.with_atheris -max_total_time=300`: the codec, led by what it has covered.

The options are libFuzzer's.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["agent_asgi"]):
    from fuzz.bodies import FIELDS, ITEM, KINDS
    from fuzz.codec import SEEDS, try_body


def main() -> None:
    """Fuzz until libFuzzer's options say that it is enough; the process then ends."""
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(SEEDS):
            (Path(folder) / str(number)).write_bytes(seed)
        words = Path(tempfile.mkdtemp(dir=folder)) / "words"
        words.write_text("".join(f'"\\"{word}\\""\n' for word in [*FIELDS, *ITEM, *KINDS]))
        atheris.Setup([*sys.argv, f"-dict={words}", folder], try_body)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

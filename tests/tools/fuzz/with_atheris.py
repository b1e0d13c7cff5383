"""`python -m tests.tools.fuzz.with_atheris`: coverage-guided fuzzing of the codec.

It takes libFuzzer's options.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["agent_asgi"]):
    from tests.tools.fuzz.bodies import FIELDS, ITEM, KINDS
    from tests.tools.fuzz.codec import SEEDS, try_body


def main() -> None:
    """Fuzz until a limit in libFuzzer's options is reached, then exit the process."""
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(SEEDS):
            (Path(folder) / str(number)).write_bytes(seed)
        words = Path(tempfile.mkdtemp(dir=folder)) / "words"
        words.write_text("".join(f'"\\"{word}\\""\n' for word in [*FIELDS, *ITEM, *KINDS]))
        atheris.Setup([*sys.argv, f"-dict={words}", folder], try_body)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

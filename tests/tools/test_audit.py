"""`tests/tools/audit.py` distinguishes vulnerabilities from an index that does not answer."""

from pathlib import Path

import pytest

from tests.tools import audit

CLEAN = '{"name": "starlette", "version": "1.0", "vulns": []}'
BAD = '{"name": "h11", "version": "0.1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["0.2"]}]}'
UNKNOWN = '{"name": "mine", "skip_reason": "Dependency not found on PyPI"}'


@pytest.fixture
def pip_audit(tmp_path: Path) -> Path:
    """Return the path of an empty pip-audit script."""
    path = tmp_path / "pip-audit"
    path.touch(0o755)
    return path


def ends(path: Path, code: int, *dependencies: str, err: str = "") -> str:
    """Write a pip-audit script with this exit code and output; return its path."""
    out = f'{{"dependencies": [{", ".join(dependencies)}]}}' if dependencies else ""
    path.write_text(f"#!/bin/sh\necho '{err}' >&2\necho '{out}'\nexit {code}\n")
    return str(path)


def test_what_is_found_fails(pip_audit: Path) -> None:
    with pytest.raises(SystemExit, match=r"h11 0\.1: PYSEC-1, mended in 0\.2"):
        audit.main(ends(pip_audit, 1, CLEAN, BAD, UNKNOWN))


def test_nothing_found(pip_audit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audit.main(ends(pip_audit, 0, CLEAN, UNKNOWN))
    said = "Audit: 1 packages, no known vulnerability. Not known to the index: mine.\n"
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    "err",
    [
        "Traceback (most recent call last):\nrequests.exceptions.ConnectionError: no route",
        "requests.exceptions.ReadTimeout: timed out",
        "pip_audit._service.interface.ServiceError",
        "ERROR:pip_audit._cli:Tip: your network may be blocking this service.",
    ],
)
def test_an_index_that_does_not_answer(
    pip_audit: Path, capsys: pytest.CaptureFixture[str], err: str
) -> None:
    audit.main(ends(pip_audit, 1, err=err))
    assert capsys.readouterr().out.startswith("Audit skipped: the index of vulnerabilities does")


def test_an_index_that_knows_nothing(pip_audit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audit.main(ends(pip_audit, 0, UNKNOWN))
    assert capsys.readouterr().out == "Audit skipped: the index knows none of 1 packages.\n"


def test_an_index_that_keeps_us_waiting(
    pip_audit: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "SECONDS", 0.2)
    pip_audit.write_text("#!/bin/sh\nexec sleep 60\n")
    audit.main(str(pip_audit))
    assert "did not answer within 0.2 s" in capsys.readouterr().out


@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_pip_audit_that_fails_by_itself_fails(pip_audit: Path, code: int) -> None:
    with pytest.raises(SystemExit, match=f"pip-audit failed with {code}: .*no such option"):
        audit.main(ends(pip_audit, code, err="no such option"))


def test_what_is_audited(pip_audit: Path, tmp_path: Path) -> None:
    """Dependencies, extras and transitive dependencies are audited, but no test tools."""
    copy = tmp_path / "pins"
    report = f'{{"dependencies": [{CLEAN}]}}'
    pip_audit.write_text(
        "#!/bin/sh\nfor each; do case $each in --requirement=*) "
        f"cp \"${{each#*=}}\" {copy};; esac; done\necho '{report}'\n"
    )
    audit.main(str(pip_audit))
    names = {line.partition("==")[0] for line in copy.read_text().splitlines()}
    wanted = {"starlette", "mlflow", "aiosqlite", "psycopg-binary", "prometheus-client", "h11"}
    assert wanted <= names
    assert not names & {"agent-asgi", "hypothesis", "mypy", "pytest"}

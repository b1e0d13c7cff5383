"""Which paths a reverse proxy passes on."""

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_asgi.proxy import ReverseProxy
from agent_asgi.proxy.paths import Paths, path_below
from tests.support.asking import fetch
from tests.support.calling import Serve
from tests.support.upstream import echo, error_of, exchange, get, hosted, told

CHAT = Paths(["/", "/favicon.ico", "/assets/*", "/api/*", "/caf\u00e9/*"])


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/favicon.ico", "/assets/", "/assets/a.js", "/assets//a", "/api/x%2Fy", "/api/..."),
        *("/api/a..b/.well-known", "/%61pi/x", "/caf%C3%A9/x", "/api/100%25", "/api/%E9"),
    ],
)
def test_allowed(path: str) -> None:
    assert CHAT.allow(path)


OUT = ["..", "%2e%2e", ".%2E", "%252e%252e", "%25252e.", "..;", "..;a=b", "."]


@pytest.mark.parametrize(
    "path",
    [
        *("", "*", "x", "/x", "/favicon.icon", "/assets", "/assetsx", "/api", "//", "//api/x"),
        *("/assets%2Fa.js", "/assets%5ca.js", "http://evil.example/api/x", "/api%2f..%2fx"),
        *(f"/assets{slash}{out}{slash}x" for out in OUT for slash in ("/", "%2f", "%5C", "\\")),
        *(f"/assets/{out}" for out in OUT),
        *(f"/assets/a/{out}/b" for out in OUT),
        "/assets/..%252f..%255cx",
    ],
)
def test_not_allowed(path: str) -> None:
    assert not CHAT.allow(path)


@given(st.text(st.sampled_from("./\\%25ecf;a"), max_size=20))
def test_what_is_allowed_leads_nowhere_else(tail: str) -> None:
    path = "/assets/" + tail
    if CHAT.allow(path):
        for _ in range(3):
            segments = path.replace("\\", "/").split("/")
            assert not {".", ".."} & {each.partition(";")[0] for each in segments}
            path = unquote(path)


def test_on_the_wire(serve: Serve) -> None:
    url = serve(hosted(serve(echo()), paths=("/", "/assets/*")))
    assert told(url, get("/"))["path"] == "/"
    assert told(url, get("/assets/a%2Fb?../.."))["path"] == "/assets/a%2Fb"
    assert error_of(fetch(url, "GET", "/secret")) == (404, "not_found")
    for path in ("/assets/../secret", "/assets/%2e%2e/secret", "/assets/..%2Fsecret"):
        assert exchange(url, get(path)).startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize("paths", ["/", [""], ["x"], ["/*/x"], ["*"], ["/**"]])
def test_bad_paths(paths: list[str]) -> None:
    with pytest.raises(ValueError, match="ReverseProxy: paths must be like"):
        ReverseProxy("http://localhost", paths=paths)


@given(st.text(max_size=8), st.text(max_size=8), st.booleans())
def test_the_path_below_a_mount(root: str, tail: str, encoded: bool) -> None:
    root, tail = ("/" + root.replace("/", "") if root else ""), "/" + tail
    safe = "/" if encoded else "/!$&'()*+,;=:@"
    raw = quote(root + tail, safe=safe, errors="replace")
    scope = {"path": unquote(raw), "root_path": unquote(quote(root, errors="replace"))}
    assert (
        path_below({**scope, "raw_path": raw.encode()})
        == raw[len(quote(root, safe=safe, errors="replace")) :]
    )
    assert unquote(path_below(scope)) == unquote(raw)[len(scope["root_path"]) :]


def test_a_raw_path_that_has_not_the_root() -> None:
    scope = {"path": "/root/x y", "root_path": "/root", "raw_path": b"/x%20y"}
    assert path_below(scope) == "/x%20y"

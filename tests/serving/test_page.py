"""The page's files are served by name, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from oddlens.serving.app import create_app
from oddlens.serving.settings import Settings


def test_files_are_served_with_their_types(toy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    (tmp_path / "secret.html").write_text("secret")
    for name in ("index.html", "page.css", "page.js", "notes.txt"):
        (folder / name).write_text(f"this is {name}")
    # A token guards what the page asks for, not the page.
    settings = Settings(token="a-token-of-some-length")
    with TestClient(create_app([toy], settings, page=folder)) as client:
        for path, name, kind in (
            ("/", "index.html", "text/html"),
            ("/page.css", "page.css", "text/css"),
            ("/page.js", "page.js", "text/javascript"),
        ):
            answer = client.get(path)
            assert answer.text == f"this is {name}"
            assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
        for path in ("/notes.txt", "/../secret.html", "/%2e%2e/secret.html", "/index.html"):
            assert client.get(path).status_code == 404


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_without_a_page_the_rest_is_there(toy: Path, tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    app = create_app([toy], page=tmp_path / folder)
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/").status_code == 404
        assert client.get("/healthz").status_code == 200

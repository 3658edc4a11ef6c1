"""The pages: they build without a warning, hold what the code says, and fetch nothing."""

import importlib.util
import os
import re
import subprocess
import sys

import pytest

pytest.importorskip("material", reason="mkdocs-material is not here: pip install -e '.[docs]'")
pytest.importorskip("mkdocstrings_handlers.python", reason="mkdocstrings[python] is not here")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def hooks(root):
    specification = importlib.util.spec_from_file_location("hooks", root / "docs" / "hooks.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(root, tmp_path_factory):
    """The built pages by their path, as text."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    command += ["--config-file", str(root / "docs" / "mkdocs.yml"), "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    built = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    # Links to a heading that is not there are said as mere information.
    said = [line for line in built.stderr.splitlines() if not line.startswith("INFO    -  [")]
    assert built.returncode == 0, built.stderr[-3000:]
    assert not [line for line in said if "does not contain an anchor" in line], built.stderr
    assert "WARNING" not in built.stderr, built.stderr[-3000:]
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*.html")
    }


def test_every_module_is_documented_on_one_page(hooks, site):
    api = {path: text for path, text in site.items() if path.startswith("api/")}
    for name in hooks.module_names():
        pages = [path for path, text in api.items() if f'<h2 id="{name}"' in text]
        assert len(pages) == 1, f"{name}: {pages or 'on no page of docs/pages/api'}"


def test_every_option_recipe_and_layout_is_listed(root, hooks, site):
    for group, kind in hooks.option_groups().items():
        for name in kind.__dataclass_fields__:
            assert f"<code>--{group}.{name}</code>" in site["training.html"], name
    for path in (root / "mgjax" / "recipes").glob("*.flags"):
        assert f'id="{path.stem}"' in site["training.html"], path.stem
    from mgjax import skeleton

    for name in skeleton.LAYOUTS:
        assert f"<code>{name}</code>" in site["own-recordings.html"], name


def test_no_marker_is_left_and_no_page_is_empty(site):
    for path, text in site.items():
        article = re.search(r"<article.*?</article>", text, re.DOTALL)
        assert article, path
        assert "<!-- modules" not in text and "<!-- options" not in text, path
        assert path == "404.html" or len(re.sub(r"<.*?>|\s", "", article[0])) > 300, path


def test_pages_fetch_nothing_from_elsewhere(site):
    for path, text in site.items():
        fetched = re.findall(r'<(?:script|img|iframe)[^>]*\ssrc="(https?:[^"]*)"', text)
        fetched += re.findall(r'<link[^>]*rel="stylesheet"[^>]*href="(https?:[^"]*)"', text)
        assert not fetched, f"{path}: {fetched}"

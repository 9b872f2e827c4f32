"""The documentation site builds without warnings and loads nothing from other servers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOADED = re.compile(r"""<(?:script|img|link)\b[^>]*?(?:src|href)="([^"]+)""")


def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    quiet = {"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    process = subprocess.run(command, cwd=ROOT, env=os.environ | quiet, capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr
    home = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "Train networks that find the corners of vertebrae" in home
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        for address in LOADED.findall(page.read_text(encoding="utf-8")):
            assert not address.startswith(("http:", "https:", "//")), f"{page} loads {address} from another server"
            file = tmp_path / "site" / address[1:] if address.startswith("/") else page.parent / address
            assert file.exists(), f"{page} loads {address}, which is missing"

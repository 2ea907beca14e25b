"""The README's tree is the architecture document: it names every file, and nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ecg_ka.readers import read, registry

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def named() -> set[str]:
    """Paths in the README's tree, nested by indentation."""
    found: set[str] = set()
    folders: dict[int, str] = {}
    for line in README.splitlines():
        match = re.match(r"^    ( *)(\S+) {2,}\S", line)
        if match is None:
            continue
        depth, name = len(match[1]) // 2, match[2]
        path = "".join(folders.get(level, "") for level in range(depth)) + name
        folders[depth] = name if name.endswith("/") else ""
        found.add(path)
    return found


def test_every_module_has_a_line_in_the_tree() -> None:
    paths = named()
    for package in ("ecg_ka", "training", "service"):
        for file in (ROOT / package).rglob("*.py"):
            path = str(file.relative_to(ROOT))
            folder_is_named = any(p.endswith("/") and path.startswith(p) for p in paths)
            assert path in paths or (folder_is_named and (file.name == "__init__.py" or "routes/" in path)), path


def test_every_line_of_the_tree_is_there() -> None:
    paths = named()
    assert len(paths) > 60
    for path in paths:
        assert (ROOT / path).exists(), path


def test_no_sentence_stands_twice() -> None:
    sentences = [line for line in README.splitlines() if len(line) > 80]
    assert len(sentences) == len(set(sentences))


def test_notice_and_commands() -> None:
    assert "not a medical device" in README
    assert "make demo" in README
    assert "make test" in README


def test_readme_and_docstring_name_the_formats_that_are_read() -> None:
    for text in (README, read.__doc__ or ""):
        assert registry.what_is_read() in re.sub(r"\s+", " ", text)


def test_dist_loss_on_your_own_task_runs_as_printed() -> None:
    section = README.split("## Dist Loss on your own task")[1].split("\n## ")[0]
    (block,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)
    assert 0.85 < float(names["predictions"].std() / names["labels"].std()) < 1.15

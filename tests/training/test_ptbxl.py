"""The table of PTB-XL: one reader of it for every program."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from training import ptbxl
from training.config import parse

TABLE = """ecg_id,scp_codes,filename_lr,filename_hr
1,"{'NORM': 80.0, 'SR': 0.0}",records100/00000/00001_lr,records500/00000/00001_hr
2.0,"{'NORM': 79.0, 'IMI': 100.0}",records100/00000/00002_lr,records500/00000/00002_hr
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ptbxl_database.csv").write_text(TABLE)
    (tmp_path / "scp_statements.csv").write_text(",diagnostic_class\nNORM,NORM\nIMI,MI\nSR,\n")
    (tmp_path / "records500").mkdir()
    (tmp_path / "records500" / "00002_hr.hea").touch()
    return tmp_path


def test_statements_and_health_of_each_ecg(folder: Path) -> None:
    found = ptbxl.entries(folder)
    assert {number: (entry.statements, entry.is_healthy) for number, entry in found.items()} == {
        1: ({"NORM": 80.0, "SR": 0.0}, True),
        2: ({"NORM": 79.0, "IMI": 100.0}, False),
    }
    assert ptbxl.superclasses(folder) == {"NORM": "NORM", "IMI": "MI"}


def test_a_header_is_found_where_the_table_says_or_in_a_flat_copy(folder: Path) -> None:
    found = ptbxl.entries(folder)
    assert found[1].header_500_hz == folder / "records500" / "00000" / "00001_hr.hea"
    assert found[2].header_500_hz == folder / "records500" / "00002_hr.hea"
    assert found[2].header_100_hz == folder / "records100" / "00000" / "00002_lr.hea"


@pytest.mark.shared
def test_the_real_table_names_files_that_are_there(shared_data: Path) -> None:
    found = ptbxl.entries(shared_data / "ptbxl")
    assert found[1].header_500_hz.is_file()
    assert sum(entry.is_healthy for number, entry in found.items() if number <= 100) > 50


def imported(file: Path) -> set[str]:
    nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Import)]
    return {name.name for node in nodes for name in node.names}


def test_options_and_statements_are_parsed_in_one_place_each() -> None:
    modules = {file.name: imported(file) for file in Path(ptbxl.__file__).parent.rglob("*.py")}
    assert [name for name, imports in modules.items() if "argparse" in imports] == ["config.py"]
    assert [name for name, imports in modules.items() if "ast" in imports] == ["ptbxl.py"]


def test_the_comparison_takes_no_abbreviated_options() -> None:
    from training.compare_simulator import CompareConfig

    assert parse(CompareConfig, ["--data", "x", "--simulated", "3"]) == CompareConfig(data=Path("x"), simulated=3)
    with pytest.raises(SystemExit):
        parse(CompareConfig, ["--data", "x", "--sim", "3"])

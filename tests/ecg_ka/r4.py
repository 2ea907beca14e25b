"""The independent FHIR R4 validator, npm's ``fhir``; `make validators` installs it."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

from tests.conftest import ROOT
from tests.required import missing

_MODULES = ROOT / ".validators" / "node_modules"
_PROGRAM = """
const { Fhir } = require('fhir'), fhir = new Fhir();
const given = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const answers = given.map(resource => fhir.validate(resource, { errorOnUnexpected: true }));
console.log(JSON.stringify(answers));
"""


def faults(resources: list[Any]) -> list[list[str]]:
    """The errors of each resource, empty when there are none; one start of node for all of them."""
    node = shutil.which("node")
    if node is None or not (_MODULES / "fhir").is_dir():
        missing("validators", "the FHIR validator is not there: it needs node, and `make validators`")
    done = subprocess.run(
        [node, "-e", _PROGRAM],
        input=json.dumps(resources),
        capture_output=True,
        text=True,
        check=True,
        env={"NODE_PATH": str(_MODULES)},
    )
    return [
        [f"{m['location']}: {m['message']}" for m in answer["messages"] if m["severity"] in ("error", "fatal")]
        + ([] if answer["valid"] else ["not valid"])
        for answer in json.loads(done.stdout)
    ]

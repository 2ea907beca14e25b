"""The command line: its output and its exit code; as a process of its own where one can tell the difference."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecg_ka import BANDS_SENTENCE, EcgError, Estimator, read
from ecg_ka.bundle import load_bundle, save_bundle
from ecg_ka.exporters import estimates_text
from tests.ecg_ka.command import called
from tests.ecg_ka.ecgs import csv_bytes, ecg
from tests.ecg_ka.writers import counts_uv, csv, dicom, dicom_channel, dicom_group, edf, json_text, mat, npy


def ecg_ka(*arguments: str | Path, code: int = 0) -> str:
    """Standard output of one call, which must end with this exit code and say why on standard error if it failed."""
    out, err = called(*arguments, code=code)
    return out if code == 0 or out else err


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "ecg.csv"
    path.write_bytes(csv_bytes(ecg(4, 6.4)))
    return path


def test_the_table_shows_number_interval_flags_and_notice(file: Path) -> None:
    out = ecg_ka("estimate", file)
    answer = Estimator.load().estimate(read(file))
    assert f"{answer.potassium_mmol_l:.2f}" in out
    assert answer.interval is not None
    assert f"{answer.interval.lower:.2f}-{answer.interval.upper:.2f}" in out
    by_label = answer.interval_label_conditional
    assert by_label is not None
    assert answer.category is not None
    assert f"holds {answer.interval.coverage_at_least_5_5:.0%} of calibration ECGs with K >= 5.5" in out
    assert f"label-conditional interval: {by_label.lower:.2f}-{by_label.upper:.2f}" in out
    assert f"bands: {', '.join(band.words for band in answer.bands or ())}; category: {answer.category}" in out
    for sentence in (BANDS_SENTENCE, answer.category.sentence):
        assert out.count(sentence) == 1
    assert "DEMO_MODEL" in out
    assert "Research use only, not a medical device" in out


def test_the_age_that_the_caller_knows_withholds_the_value_of_a_child_in_every_command(
    file: Path, tmp_path: Path
) -> None:
    reason = "the patient is 9 years old by the caller; the model is meant for adults"
    assert reason in ecg_ka("estimate", file, "--age", "9")
    assert "AGE_OUT_OF_RANGE" not in ecg_ka("estimate", file, "--age", "64")
    assert reason in ecg_ka("explain", file, "--age", "9", code=2)
    for command, name in (["plot"], "page.svg"), (["export", "--to", "json"], "answer.json"):
        ecg_ka(*command, file, "--age", "9", "-o", tmp_path / name)
        text = re.sub(r"<[^>]*>|\s+", " ", (tmp_path / name).read_text())
        assert "he patient is 9 years old by the caller" in " ".join(text.split())
    assert "less than or equal to 120" in ecg_ka("estimate", file, "--age", "121", code=2)


def test_json_is_json_only_with_one_answer_a_file_refusals_included(file: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_bytes(b"")
    command = [sys.executable, "-m", "ecg_ka.cli", "estimate", str(file), str(bad), "--json"]
    out = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (out.returncode, "Traceback" in out.stderr) == (2, False)
    good, refused = json.loads(out.stdout)
    assert len(out.stdout.splitlines()) > len(good) + len(refused)  # for people too
    assert set(good) == set(refused)
    library = Estimator.load().estimate(read(file)).to_dict()
    for key in set(library) - {"timing_ms"}:
        assert good[key] == json.loads(json.dumps(library[key])), key
    assert good["error"] is None
    assert (refused["potassium_mmol_l"], refused["abstained"], refused["interval"]) == (None, True, None)
    assert refused["error"]["type"] == "EmptyFile"
    assert refused["abstain_reasons"] == [refused["error"]["detail"]]


def _bad_files(folder: Path) -> dict[str, tuple[bytes, str]]:
    record = ecg(1)
    one, flat = record.signal_mv[1:2], np.zeros_like(record.signal_mv)
    gap = record.signal_mv.copy()
    gap[3, 100] = np.nan
    whole = csv_bytes(record)

    def table(signal_mv: Any, fs_hz: float = 500.0, leads: tuple[str, ...] = record.leads) -> bytes:
        return json.dumps({"signal_mv": signal_mv.tolist(), "fs_hz": fs_hz, "leads": list(leads)}).encode()

    return {
        "empty": (b"", "EmptyFile"),
        "type.txt": (b"%PDF-1.7 not an ECG", "UnknownFormat"),
        "zero.json": (table(record.signal_mv[:, :0]), "NoSamples"),
        "nan.json": (table(gap), "NonFiniteSamples"),
        "fs.json": (table(record.signal_mv, fs_hz=0.0), "InvalidSamplingRate"),
        "other.hea": (b"other 1 500 5000\n../../secret.dat 16 1000/mV 16 0 0 0 0 II\n", "ForeignReference"),
        "short.hea": (b"short 1 500 5000\nshort.dat 16 1000/mV 16 0 0 0 0 II\n", "TruncatedFile"),
        "one.json": (table(one, leads=("II",)), "MissingLeads"),
        "3s.csv": (b"\n".join(whole.split(b"\n")[:1501]), "TooShort"),
        "flat.json": (table(flat), "FlatSignal"),
    }


def test_each_kind_of_bad_input_has_its_own_error_and_leaves_nothing(tmp_path: Path) -> None:
    bad = _bad_files(tmp_path)
    (tmp_path / "short.dat").write_bytes(b"\0" * 100)
    for name, (content, _) in bad.items():
        (tmp_path / name).write_bytes(content)
    before = sorted(tmp_path.iterdir())
    answers = json.loads(ecg_ka("estimate", *(tmp_path / name for name in bad), "--json", code=2))
    assert [a["error"]["type"] for a in answers] == [error for _, error in bad.values()]
    assert sorted(tmp_path.iterdir()) == before


UV = counts_uv(5000)
MV = UV * 1e-3
HZ = ("--fs-hz", "500")
ORDER = ("V1", "V2", "V3", "V4", "V5", "V6", "I", "II", "III", "aVR", "aVL", "aVF")
NO_UNIT = [dicom_channel(lead, ChannelSensitivityUnitsSequence=[]) for lead in ORDER]
LACKING: dict[str, tuple[bytes, tuple[str, ...], tuple[str, str]]] = {
    "rate": (csv(MV), (), HZ),
    "unit": (npy(UV), HZ, ("--units", "uV")),
    "unit of an EDF signal": (edf(UV, unit=""), (), ("--units", "uV")),
    "unit of a DICOM channel": (dicom(dicom_group(UV, ChannelDefinitionSequence=NO_UNIT)), (), ("--units", "uV")),
    "order": (npy(MV[[*range(6, 12), *range(6)]]), HZ, ("--leads", ",".join(ORDER))),
    "names": (npy(MV[:9]), HZ, ("--leads", ",".join(ORDER[6:] + ORDER[:3]))),
    "names beside text": (mat(val=MV, remark="Cabrera"), HZ, ("--leads", ",".join(ORDER[6:] + ORDER[:6]))),
}
"""Files, the options that do not suffice for them, and the one that they need too."""


@pytest.mark.parametrize("case", LACKING)
def test_what_a_file_lacks_is_asked_for_by_the_name_that_helps(case: str, tmp_path: Path) -> None:
    data, options, lacking = LACKING[case]
    with pytest.raises(EcgError, match=rf"[Pp]ass {lacking[0][2:].replace('-', '_')}\b"):
        read(data, fs_hz=500 if options else None)
    (path := tmp_path / "ecg").write_bytes(data)
    for command in (("estimate",), ("estimate", "--json"), ("quality",)):
        assert f"ass {lacking[0]}" in ecg_ka(*command, path, *options, code=2)
    assert ecg_ka("quality", path, *options, *lacking)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--fs-hz", "250"), "--fs-hz=250 was given. Leave --fs-hz out"),
        (("--units", "uV"), "--units=uV was given. Leave --units out"),
        (("--leads", "I,II"), "--leads=['I', 'II'] was given. Leave --leads out"),
        (("--fs-hz", "0"), "--fs-hz=0 was given; expected"),
        (("--units", "kg"), "--units='kg' was given; expected"),
        (("--leads", "I," * 99), "was given; expected a list of up to 64 names"),
    ],
)
def test_what_contradicts_the_file_is_told_as_it_was_given(options: tuple[str, str], told: str, tmp_path: Path) -> None:
    (path := tmp_path / "ecg").write_bytes(json_text(MV))
    for command in ("estimate", "quality"):
        assert told in ecg_ka(command, path, *options, code=2)


def test_what_a_file_itself_calls_fs_hz_keeps_its_name(tmp_path: Path) -> None:
    (path := tmp_path / "ecg").write_bytes(json_text(MV, fs_hz=0))
    assert "fs_hz is 0 in the JSON" in ecg_ka("estimate", path, code=2)


def test_the_list_of_formats_names_the_options() -> None:
    text, options = ecg_ka("formats"), ecg_ka("estimate", "--help")
    for option in ("--fs-hz", "--units", "--leads"):
        assert option in text
        assert option in options


def test_a_header_and_its_signal_file_are_one_record(tmp_path: Path) -> None:
    record = ecg(1)
    steps = np.rint(record.signal_mv * 1000).astype("<i2")
    lines = [f"r.dat 16 1000/mV 16 0 0 0 0 {lead}" for lead in record.leads]
    (tmp_path / "r.hea").write_text("\n".join([f"r 12 500 {steps.shape[1]}", *lines]) + "\n")
    (tmp_path / "r.dat").write_bytes(steps.T.tobytes())
    answers = json.loads(ecg_ka("estimate", tmp_path / "r.hea", tmp_path / "r.dat", "--json"))
    assert len(answers) == 1
    for other in (tmp_path / "r.dat", tmp_path):
        again = json.loads(ecg_ka("estimate", other, "--json"))
        assert again[0]["potassium_mmol_l"] == answers[0]["potassium_mmol_l"]


def test_files_that_only_share_a_stem_are_each_answered(file: Path, tmp_path: Path) -> None:
    record = ecg(1)
    steps = np.rint(record.signal_mv * 1000).astype("<i2")
    lines = [f"r.dat 16 1000/mV 16 0 0 0 0 {lead}" for lead in record.leads]
    (tmp_path / "r.hea").write_text("\n".join([f"r 12 500 {steps.shape[1]}", *lines]) + "\n")
    (tmp_path / "r.dat").write_bytes(steps.T.tobytes())
    (tmp_path / "r.csv").write_bytes(file.read_bytes())
    answers = json.loads(ecg_ka("estimate", *(tmp_path / f"r.{end}" for end in ("hea", "dat", "csv")), "--json"))
    assert [Path(a["file"]).suffix for a in answers] == [".hea", ".csv"]


def test_the_page_never_overwrites_the_ecg(tmp_path: Path, file: Path) -> None:
    copy = tmp_path / "ecg.csv"
    copy.write_bytes(file.read_bytes())
    assert "belongs to the ECG itself" in ecg_ka("plot", copy, "-o", copy, "--force", code=2)
    assert copy.read_bytes() == file.read_bytes()


@pytest.mark.parametrize("command", ["plot", "explain"])
def test_a_page_that_is_there_is_overwritten_with_force_alone(command: str, file: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.svg"
    page.write_text("kept")
    told = ecg_ka(command, file, "-o", page, code=2)
    assert "is there already; choose another file with --output, or overwrite it with --force" in told
    assert page.read_text() == "kept"
    ecg_ka(command, file, "-o", page, "--force")
    assert page.read_text().startswith("<svg")


def test_a_page_goes_down_a_pipe_without_force(file: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        page = pool.submit(pipe.read_text)
        ecg_ka("plot", file, "-o", pipe)
        assert page.result(timeout=30).startswith("<svg")


def test_a_record_of_a_demonstration_is_refused_with_the_option_that_allows_it(file: Path, tmp_path: Path) -> None:
    told = ecg_ka("export", file, "--to", "fhir", "-o", tmp_path / "answer.json", code=2)
    assert "allow demo exports: they are marked as test data. Here --allow-demo does" in told
    assert not (tmp_path / "answer.json").exists()


def test_plot_writes_a_page_with_the_number_and_the_notice(file: Path, tmp_path: Path) -> None:
    ecg_ka("plot", file, "-o", tmp_path / "page.svg")
    text = "".join(ET.fromstring((tmp_path / "page.svg").read_text()).itertext())
    answer = Estimator.load().estimate(read(file))
    assert f"{answer.potassium_mmol_l:.1f} mmol/L" in text
    assert "DEMO_MODEL" in text


def test_export_writes_other_languages_and_keeps_demonstrations_out_of_records(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "simulated" in ecg_ka("export", file, "--to", "fhir", "-o", out, code=2)
    assert not out.exists()
    ecg_ka("export", file, "--to", "fhir", "-o", out, "--allow-demo", "--subject", "HOSPITAL|4711")
    assert json.loads(out.read_bytes())["type"] == "transaction"
    assert "--force" in ecg_ka("export", file, "--to", "pdf", "-o", out, code=2)
    ecg_ka("export", file, "--to", "pdf", "-o", out, "--force")
    assert out.read_bytes().startswith(b"%PDF-")


def test_simulate_writes_what_estimate_reads(tmp_path: Path) -> None:
    out = tmp_path / "high.csv"
    ecg_ka("simulate", "--potassium", "7.5", "-o", out, "--patient", "3")
    high = json.loads(ecg_ka("estimate", out, "--json"))[0]["potassium_mmol_l"]
    assert "overwrite it with --force" in ecg_ka("simulate", "--potassium", "3.0", "-o", out, "--patient", "3", code=2)
    ecg_ka("simulate", "--potassium", "3.0", "-o", out, "--patient", "3", "--force")
    low = json.loads(ecg_ka("estimate", out, "--json"))[0]["potassium_mmol_l"]
    assert high > low + 1


def test_quality_and_info(file: Path) -> None:
    quality = json.loads(ecg_ka("quality", file, "--json"))
    assert 30 < quality["heart_rate_bpm"] < 180
    assert len(quality["leads"]) == 12
    assert "beats" in ecg_ka("quality", file)
    info = json.loads(ecg_ka("info", "--json"))
    assert info["is_simulated"]
    assert "DEMO_MODEL" in ecg_ka("info")


def test_the_slow_look_asks_neurokit(file: Path) -> None:
    assert json.loads(ecg_ka("quality", file, "--full", "--json"))["full"]


@pytest.mark.parametrize(
    "arguments",
    [("estimate",), ("estimate", "x", "--levle", "1"), ("estimate", "x", "--level", "1.5"), ("nothing",),
     ("estimate", "."), ("estimate", "x", "--bundle", "/nowhere"), ("quality", "/nowhere"),
     ("plot", "/nowhere", "-o", "x.svg"),
     ("simulate", "--potassium", "40", "-o", "x.csv")],
)  # fmt: skip
def test_wrong_calls_end_with_2_and_a_word_of_explanation(arguments: tuple[str, ...]) -> None:
    assert ecg_ka(*arguments, code=2)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("arguments", [("--help",), ("estimate",)])
def test_a_full_disk_is_told_in_one_line(file: Path, arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "ecg_ka.cli", *arguments, *([str(file)] if "estimate" in arguments else [])]
        out = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert out.returncode == 1
    assert out.stderr.splitlines()[-1:] == ["ecg-ka: Cannot write the answer: No space left on device"]
    assert "Traceback" not in out.stderr
    assert "Exception" not in out.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="there is no SIGPIPE")
@pytest.mark.parametrize("arguments", [("--help",), ("estimate",)])
def test_a_closed_pipe_ends_it_quietly(file: Path, arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "ecg_ka.cli", *arguments, *([str(file)] if "estimate" in arguments else [])]
    out = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writer)
    assert (out.returncode, out.stderr) == (-signal.SIGPIPE, "")


def test_help_teaches() -> None:
    text = ecg_ka("--help")
    for command in ("estimate", "quality", "plot", "convert", "formats", "simulate", "info"):
        assert command in text
        assert "--help" in ecg_ka(command, "--help")


def test_a_file_name_cannot_write_to_the_terminal_or_forge_a_row(file: Path, tmp_path: Path) -> None:
    evil = tmp_path / "n\n\x1b[31mforged.csv"
    evil.write_bytes(file.read_bytes())
    out = ecg_ka("estimate", evil)
    assert "\x1b" not in out
    assert sum("forged.csv" in line for line in out.splitlines()) == 1
    assert "\\n\\x1b[31mforged.csv" in out


def test_without_room_for_temporary_files_one_line_says_so(tmp_path: Path) -> None:
    """Packed WFDB needs a folder; the other files of the same call are answered all the same."""
    (tmp_path / "p.hea").write_text("p 2 500 3000\np.dat 212 200 12 0 0 0 0 I\np.dat 212 200 12 0 0 0 0 II\n")
    (tmp_path / "p.dat").write_bytes(bytes(9000))
    (tmp_path / "good.csv").write_bytes(csv_bytes(ecg(4, 4.2)))
    code = "import sys, tempfile; tempfile.tempdir = '/nowhere'; from ecg_ka.cli import main; main()"
    command = [sys.executable, "-c", code, "estimate", str(tmp_path / "p.hea"), str(tmp_path / "good.csv")]
    out = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert out.returncode == 2
    assert "No room for temporary files" in out.stdout
    assert "4." in out.stdout.split("good.csv")[1]
    assert "Traceback" not in out.stderr


def test_what_a_library_warns_about_does_not_reach_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "odd.dcm"
    path.write_bytes(dicom(dicom_group(counts_uv()), Manufacturer="\x1b[31mforged"))
    command = [sys.executable, "-W", "always", "-m", "ecg_ka.cli", "estimate", str(path)]
    out = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "forged" not in out.stderr + out.stdout
    assert "Warning" not in out.stderr


@pytest.mark.parametrize(("p", "shown"), [(0.0004, "<0.001"), (0.9996, ">0.999")])
def test_no_probability_reads_as_an_exclusion_or_a_certainty(p: float, shown: str) -> None:
    """What would be printed as 0.000 or 1.000 is shown as a bound."""
    answer = Estimator.load().estimate(ecg(4, 7.6))
    extreme = replace(answer, probabilities=tuple(replace(q, p=p) for q in answer.probabilities or ()))
    row = estimates_text([("a", extreme)]).splitlines()[1]
    assert row.count(shown) == 2
    assert " 0.000" not in row
    assert " 1.000" not in row


def test_history_moves_the_answer_and_is_told(file: Path, tmp_path: Path) -> None:
    (tmp_path / "earlier.csv").write_bytes(csv_bytes(ecg(4, 4.1)))
    table = tmp_path / "pairs.csv"
    table.write_text("path,potassium_mmol_l\nearlier.csv,4.1\n")
    estimator = Estimator.load()
    personal = estimator.personalize([(read(tmp_path / "earlier.csv"), 4.1)])
    answer = estimator.estimate(read(file), personal=personal)
    out = ecg_ka("estimate", file, "--history", table)
    assert f"{answer.potassium_mmol_l:.2f}" in out
    assert f"personal: offset of {personal.offset_mmol_l:+.2f}" in out
    assert json.loads(ecg_ka("estimate", file, "--history", table, "--json"))[0]["personal"]["n_pairs"] == 1


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("", "0 rows"),
        ("path,k\nearlier.csv,4.1\n", "with the columns path, potassium_mmol_l"),
        ("path,potassium_mmol_l\nearlier.csv,high\n", "potassium 'high'; expected a value from 1 to 12"),
        ("path,potassium_mmol_l\nabsent.csv,4.1\n", "absent.csv"),
        ("path,potassium_mmol_l\npairs.csv,4.1\n", "pairs.csv, ECG 'pairs.csv'"),
        (
            "path,potassium_mmol_l\nno_rate.csv,4.1\n",
            "'no_rate.csv': the file states no sampling rate and none is assumed. Pass --fs-hz.",
        ),
        ("path,potassium_mmol_l\nearlier.csv,4.1\nearlier.csv,4.2\n", "lists an ECG twice"),
    ],
)
def test_a_history_that_cannot_be_read_ends_with_one_line(file: Path, tmp_path: Path, table: str, told: str) -> None:
    (tmp_path / "earlier.csv").write_bytes(csv_bytes(ecg(4, 4.1)))
    (tmp_path / "no_rate.csv").write_bytes(csv(MV))
    (tmp_path / "pairs.csv").write_text(table)
    assert told in ecg_ka("estimate", file, "--history", tmp_path / "pairs.csv", code=2)


def test_an_ecg_is_not_estimated_from_its_own_potassium(file: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text(f"path,potassium_mmol_l\n{file},6.1\n")
    assert "refused: ECG error: it is in the history" in ecg_ka(
        "estimate", file, "--history", tmp_path / "pairs.csv", code=2
    )


def test_explain_prints_a_table_and_draws_the_page(file: Path, tmp_path: Path) -> None:
    out = ecg_ka("explain", file, "-o", tmp_path / "page.svg")
    assert "T(U)" in out
    assert "not a medical device" in out
    assert "DEMO_MODEL: " in out
    assert "fill-opacity" in (tmp_path / "page.svg").read_text()
    found = json.loads(ecg_ka("explain", file, "--json"))
    assert "DEMO_MODEL" in {flag["name"] for flag in found["flags"]}
    assert "not a medical device" in found["disclaimer"]
    assert {effect["wave"] for effect in found["effects"]} == {"P", "QRS", "ST", "T(U)"}


def test_info_says_whether_the_bundle_may_be_shared() -> None:
    assert "may be shared         yes, all of it comes from simulated ECGs" in ecg_ka("info")
    assert json.loads(ecg_ka("info", "--json"))["may_be_shared"] is True


def test_what_a_small_bundle_could_not_measure_is_told_in_words(tmp_path: Path) -> None:
    """Without a test ECG of K >= 5.5 there is no AUROC, and no few-shot error."""
    shipped = load_bundle()
    model = shipped.metrics["model"]
    none = {**model, "mae_few": math.nan, "auroc": {**model["auroc"], ">=5.5": {"value": math.nan}}}
    save_bundle(replace(shipped, metrics={**shipped.metrics, "model": none}), tmp_path)
    told = ecg_ka("info", "--bundle", tmp_path)
    assert "few-shot not measured, r 0." in told
    assert "AUROC K >= 5.5 not measured, K < 3.5 0." in told
    assert "nan" not in told
    as_json = json.loads(ecg_ka("info", "--bundle", tmp_path, "--json"), parse_constant=pytest.fail)
    assert as_json["metrics"]["model"]["mae_few"] is None

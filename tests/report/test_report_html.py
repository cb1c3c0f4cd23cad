"""The report folder and the command that writes it."""

import base64
import json
import re

import cv2
import numpy as np
import pandas as pd
import pytest

from stallscan.cli.evaluate import evaluate as command
from stallscan.errors import OptionError, OutputConflictError, TableError
from stallscan.report import EvaluateOptions, evaluate, write_report
from stallscan.report.html import N_ERRORS

FAST = EvaluateOptions(n_bootstrap=50)


@pytest.fixture
def tables(tmp_path):
    rng = np.random.default_rng(0)
    n = 300
    label = (rng.random(n) < 0.4).astype(int)
    probability = np.round(np.clip(rng.normal(0.45 + 0.1 * label, 0.25), 0, 1), 4)
    table = pd.DataFrame({"filename": [f"v{i}.mp4" for i in range(n)], "probability": probability})
    table["status"], table["message"], table["model"] = "ok", "", "cpu-small"
    table.loc[3, ["status", "message"]] = ["flagged", "<script>alert(1)</script>"]
    table.loc[5, ["probability", "status", "message"]] = [None, "failed", "46 of 97 frames"]
    table.to_csv(tmp_path / "predictions.csv", index=False)
    table[["filename"]].assign(stalled=label).to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path / "predictions.csv", tmp_path / "labels.csv"


def test_the_folder(tables, tmp_path):
    evaluation = evaluate(*tables, FAST)
    paths = write_report(tmp_path / "report", evaluation)
    names = sorted(p.name for p in paths["figures"].iterdir())
    assert names == ["confusion.png", "precision_recall.png", "probabilities.png", "roc.png"]
    page = paths["html"].read_text(encoding="utf-8")
    embedded = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert {base64.b64decode(text) for text in embedded} == {
        path.read_bytes() for path in paths["figures"].iterdir()
    }
    for path in paths["figures"].iterdir():
        image = cv2.imread(str(path))
        assert image.shape[0] > 500 and image.std() > 10  # drawn, not blank
    assert not re.search(r'(src|href)="(?!data:)', page)  # nothing is fetched from elsewhere
    assert "http" not in re.sub(r"base64,[^\"]+", "", page)


def test_the_page_lists_the_surest_errors_and_escapes_messages(tables, tmp_path):
    evaluation = evaluate(*tables, FAST)
    page = write_report(tmp_path, evaluation)["html"].read_text(encoding="utf-8")
    assert "<script>" not in page
    rows = evaluation.tables.evaluated
    wrong = rows[(rows.call == 1) & (rows.label == 0)]
    missed = rows[(rows.call == 0) & (rows.label == 1)]
    assert len(wrong) > N_ERRORS > len(missed) or len(missed) > 5
    section = page[page.index("Errors to look at") : page.index("Failed videos")]
    listed = re.findall(r"<code>(v\d+\.mp4)</code>", section)
    expected = [
        *wrong.sort_values("probability", ascending=False, kind="stable").filename[:N_ERRORS],
        *missed.sort_values("probability", kind="stable").filename[:N_ERRORS],
    ]
    assert listed == expected
    assert f"Flowing, called stalled ({len(wrong)})" in section
    assert "46 of 97 frames" in page[page.index("Failed videos") :]
    assert "Model: cpu-small" in page


def test_undecidable_videos_have_a_section_of_their_own(tables, tmp_path):
    labels = pd.read_csv(tables[1], dtype={"stalled": "Int64"})
    labels.loc[3:5, "stalled"] = pd.NA  # one flagged with a script in its message, one failed
    labels.to_csv(tables[1], index=False)
    evaluation = evaluate(*tables, FAST)
    paths = write_report(tmp_path / "report", evaluation)
    page = paths["html"].read_text(encoding="utf-8")
    section = page[page.index("Undecidable videos (3)") : page.index("<footer>")]
    assert evaluation.undecidable.sentence in section and "<script>" not in section
    assert sorted(re.findall(r"<code>(v\d+\.mp4)</code>", section)) == [
        "v3.mp4",
        "v4.mp4",
        "v5.mp4",
    ]
    assert "–</td>" in section and "nan" not in section
    assert "3 undecidable" in page[page.index("<footer>") :]
    record = json.loads(paths["metrics"].read_text(encoding="utf-8"))
    assert record["undecidable"]["n"] == record["counts"]["n_undecidable"] == 3
    assert record["undecidable"]["n_failed"] == 1 and record["scores"]["n"] == 297


def test_the_numbers(tables, tmp_path):
    evaluation = evaluate(*tables, FAST)
    paths = write_report(tmp_path / "report", evaluation)
    record = json.loads(paths["metrics"].read_text(encoding="utf-8"))
    assert record["scores"]["mcc"] == evaluation.scores.mcc
    assert record["intervals"]["roc_auc"] == list(evaluation.intervals["roc_auc"])
    assert record["counts"]["n_evaluated"] == 299
    assert record["decision"]["source"] == "default" and record["decision"]["threshold"] == 0.5
    assert record["failed"] == ["v5.mp4"]
    assert record["options"]["seed"] == 0
    assert len(record["inputs"]["labels"]["sha256"]) == 64
    assert [p["prevalence"] for p in record["at_prevalence"]] == [0.046, 0.02, 0.004, 0.001]


def test_same_input_same_bytes(tables, tmp_path):
    for name in ("one", "two"):
        write_report(tmp_path / name, evaluate(*tables, FAST))
    for file in ("report.html", "metrics.json", "figures/roc.png"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_still_makes_a_page(tables, tmp_path, label):
    pd.read_csv(tables[1]).assign(stalled=label).to_csv(tables[1], index=False)
    paths = write_report(tmp_path / "report", evaluate(*tables, FAST))
    record = json.loads(paths["metrics"].read_text(encoding="utf-8"))
    assert record["scores"]["roc_auc"] is None and record["intervals"]["roc_auc"] is None
    assert "undefined" in paths["html"].read_text(encoding="utf-8")


def test_the_command(tables, tmp_path, capsys):
    out = tmp_path / "report"
    assert command(*tables, out=out, scoring=FAST) == 0
    first = capsys.readouterr().out
    assert "ROC AUC" in first and str(out / "report.html") in first
    stamp = (out / "report.html").stat().st_mtime_ns
    assert command(*tables, out=out, scoring=FAST) == 0
    again = capsys.readouterr().out
    assert first.split("\nreport")[0].strip() in again and "nothing to do" in again
    assert (out / "report.html").stat().st_mtime_ns == stamp


def test_the_command_refuses_another_run_in_the_same_place(tables, tmp_path, capsys):
    out = tmp_path / "report"
    command(*tables, out=out, scoring=FAST)
    other = EvaluateOptions(n_bootstrap=60)
    with pytest.raises(OutputConflictError, match=r"n_bootstrap was 50, now 60.*--overwrite"):
        command(*tables, out=out, scoring=other)
    tables[1].write_text(tables[1].read_text() + "new.mp4,1\n")
    with pytest.raises(OutputConflictError, match=r"labels was 'labels.csv \(sha256 "):
        command(*tables, out=out, scoring=FAST)
    assert command(*tables, out=out, scoring=other, overwrite=True) == 0
    assert json.loads((out / "metrics.json").read_text())["options"]["n_bootstrap"] == 60


def test_a_fault_leaves_the_place_free(tables, tmp_path, capsys):
    out = tmp_path / "deep" / "report"
    good = tables[1].read_text()
    tables[1].write_text(good.replace("v7.mp4,", "v7.mp4,7"))
    with pytest.raises(TableError, match=r"labels.csv: stalled is '7[01]' in line 9"):
        command(*tables, out=out, scoring=FAST)
    assert not out.parent.exists()
    tables[1].write_text(good)
    assert command(*tables, out=out, scoring=FAST) == 0


def test_the_command_guards_its_folder(tables, tmp_path):
    with pytest.raises(OptionError, match=r"report.html: the report is a folder; pass .*report$"):
        command(*tables, out=tmp_path / "report.html", scoring=FAST)
    with pytest.raises(OptionError, match=r"it holds .*predictions.csv.*pass a folder of its own"):
        command(*tables, out=tmp_path, scoring=FAST, overwrite=True)
    assert tables[0].exists() and tables[1].exists()

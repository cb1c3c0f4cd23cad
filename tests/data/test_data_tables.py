"""Every fault of a table is told with the file, the line, the value and a remedy."""

import gzip
import lzma
import os
import time
from pathlib import Path

import pandas as pd
import pytest

from stallscan.data import PREDICTION_COLUMNS, only_decided, read_labels, read_predictions
from stallscan.errors import TableError

GOOD_LABELS = "filename,stalled\nb.mp4,0\na.mp4,1\n"


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("name", ["labels.csv", "labels.csv.gz", "labels.csv.xz"])
def test_labels_plain_and_compressed(tmp_path, name):
    pack = {".csv": bytes, ".gz": gzip.compress, ".xz": lzma.compress}[Path(name).suffix]
    labels = read_labels(write(tmp_path / name, pack(GOOD_LABELS.encode())))
    assert list(labels.columns) == ["filename", "stalled"]
    assert labels["filename"].tolist() == ["b.mp4", "a.mp4"]
    assert labels["stalled"].tolist() == [0, 1]
    assert labels["stalled"].dtype == "int64"


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + GOOD_LABELS,
        GOOD_LABELS.replace("\n", "\r\n"),
        "filename, stalled \n b.mp4 , 0\n\na.mp4,1.0\n\n,\n",
        "stalled,project,filename\n0,J,b.mp4\n1,,a.mp4\n",
        'filename,stalled\n"b.mp4","0"\na.mp4,1',
    ],
    ids=["byte order mark", "windows", "blanks and empty lines", "other columns", "quotes"],
)
def test_what_spreadsheets_write_is_read(tmp_path, text):
    labels = read_labels(write(tmp_path / "labels.csv", text))
    assert dict(labels.itertuples(index=False)) == {"b.mp4": 0, "a.mp4": 1}


def test_names_that_look_like_numbers_or_missing_values_stay_names(tmp_path):
    labels = read_labels(write(tmp_path / "l.csv", "filename,stalled\n0012,0\nNA,1\n1e5,0\n"))
    assert labels["filename"].tolist() == ["0012", "NA", "1e5"]


def test_undecidable_labels_are_read_where_they_are_asked_for(tmp_path):
    path = write(tmp_path / "l.csv", "filename,stalled\nc,\na,1\nb,0\nd\n")
    labels = read_labels(path, undecidable=True)
    assert labels["filename"].tolist() == ["c", "a", "b", "d"]
    assert labels["stalled"].dtype == "Int64"
    assert labels["stalled"].tolist() == [pd.NA, 1, 0, pd.NA]
    decided = only_decided(labels)
    assert dict(decided.itertuples(index=False)) == {"a": 1, "b": 0}
    assert decided["stalled"].dtype == "int64" and list(decided.index) == [0, 1]
    with pytest.raises(TableError, match=r"stalled is '' in line 2 \(2 such rows\)"):
        read_labels(path)


def test_undecidable_labels_are_no_excuse_for_nonsense(tmp_path):
    for text in ("filename,stalled\na,\nb,2\n", "filename,stalled\na,\nb,nan\n"):
        with pytest.raises(TableError, match=r"stalled is '\w+' in line 3: allowed are 0"):
            read_labels(write(tmp_path / "l.csv", text), undecidable=True)
    path = write(tmp_path / "l.csv", "filename,stalled\na,\nb,\n")
    with pytest.raises(TableError, match=r"l.csv: stalled is empty in all 2 rows, .*fill in 0"):
        read_labels(path, undecidable=True)


LABEL_FAULTS = {
    "empty": ("", "is empty", "pass a CSV table with the columns filename, stalled"),
    "header only": ("filename,stalled\n", "no rows", "at least one video"),
    "missing column": (
        "filename,label\na,0\n",
        "no column 'stalled' (found 'filename', 'label')",
        "needed are filename, stalled",
    ),
    "misspelt column": (
        "filename,Stalled\na,0\n",
        "no column 'stalled'",
        "did you mean 'Stalled'?",
    ),
    "semicolons": ("filename;stalled\na;0\n", "'filename;stalled'", "comma-separated"),
    "column twice": (
        "filename,stalled,stalled \na,0,1\n",
        "'stalled' stands more than once",
        "keep one",
    ),
    "duplicate": (
        "filename,stalled\na,0\nb,1\na,0\n",
        "'a' stands in lines 2 and 4",
        "keep one row",
    ),
    "no filename": ("filename,stalled\na,0\n,1\n", "line 3 has no filename", "remove the line"),
    "label 2": ("filename,stalled\na,0\n\nb,2\n", "stalled is '2' in line 4", "0 (flowing) and 1"),
    "label 0.5": ("filename,stalled\na,0.5\n", "stalled is '0.5' in line 2", "0 (flowing) and 1"),
    "label word": (
        "filename,stalled\na,yes\nb,no\n",
        "stalled is 'yes' in line 2 (2 such rows)",
        "correct the table",
    ),
    "label nan": ("filename,stalled\na,nan\n", "stalled is 'nan' in line 2", "0 (flowing) and 1"),
    "no label": ("filename,stalled\na,0\nb,\n", "stalled is '' in line 3", "0 (flowing) and 1"),
    "short line": ("filename,stalled\na,0\nb\n", "stalled is '' in line 3", "0 (flowing) and 1"),
    "long line": ("filename,stalled\na,0\nb,0,1\n", "line 3, saw 3", "header's fields"),
    "all lines long": ("filename,stalled\na,0,1\nb,0,1\n", "not a CSV table", "header's fields"),
    "not text": (b"filename,stalled\n\xff\xd8\xff\xe0,0\n", "byte 0xff", "CSV in UTF-8"),
    "open quote": ('filename,stalled\n"a,0\nb,1\n', "not a CSV table", "header's fields"),
}


@pytest.mark.parametrize("text, found, remedy", LABEL_FAULTS.values(), ids=LABEL_FAULTS)
def test_faults_of_labels(tmp_path, text, found, remedy):
    path = write(tmp_path / "labels.csv", text)
    with pytest.raises(TableError) as caught:
        read_labels(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert found in message
    assert remedy in message
    assert "\n" not in message and len(message) < 400


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(TableError, match=r"none.csv: does not exist; pass a CSV .* filename"):
        read_labels(tmp_path / "none.csv")
    with pytest.raises(TableError, match="is a folder; pass a CSV"):
        read_labels(tmp_path)


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_damaged_compression(tmp_path, suffix):
    pack = {".gz": gzip.compress, ".xz": lzma.compress}[suffix]
    whole = pack(("filename,stalled\n" + "".join(f"{i},0\n" for i in range(999))).encode())
    for content in (whole[: len(whole) // 2], b"filename,stalled\na,0\n", whole[:40] + b"x" * 40):
        path = write(tmp_path / f"labels.csv{suffix}", content)
        with pytest.raises(TableError, match=r"labels.csv.*cannot be decompressed.*copy"):
            read_labels(path)


def test_predictions_need_two_columns_only(tmp_path):
    path = write(tmp_path / "p.csv", "filename,probability\na,0.25\nb,\nc,1\n")
    table = read_predictions(path)
    assert list(table.columns) == ["filename", "probability", "status", "message"]
    assert table["probability"].fillna(-1).tolist() == [0.25, -1, 1]
    assert table["status"].tolist() == ["ok", "failed", "ok"]
    assert table["message"].tolist() == ["", "", ""]


def test_predictions_of_ours(tmp_path):
    rows = [
        "a.mp4,0.91,1,ok,,60,0,10,20,60,50,70,ok,cpu-small",
        "b.mp4,0.2,0,flagged,outline touches the border,30,0,0,0,30,9,9,border,cpu-small",
        'c.mp4,,,failed,"46 of 97 frames, then damage",,,,,,,,,cpu-small',
    ]
    text = "\n".join([",".join(PREDICTION_COLUMNS), *rows])
    table = read_predictions(write(tmp_path / "p.csv", text))
    assert tuple(table.columns) == PREDICTION_COLUMNS
    assert table["stalled"].tolist() == [1, 0, pd.NA]
    assert table["roi_y1"].tolist() == [50, 9, pd.NA]
    assert table["message"].iloc[2] == "46 of 97 frames, then damage"
    assert table["outline"].tolist() == ["ok", "border", ""]
    assert table["probability"].isna().tolist() == [False, False, True]


HEAD = "filename,probability,stalled,status\n"
PREDICTION_FAULTS = {
    "labels given": (
        "filename,stalled\na,0\n",
        "no column 'probability'",
        "needed are filename, probability",
    ),
    "misspelt": (
        "filename,probabilty\na,0\n",
        "no column 'probability'",
        "did you mean 'probabilty'?",
    ),
    "logit": (
        "filename,probability\na,0.2\nb,3.71\n",
        "probability is '3.71' in line 3",
        "sigmoid",
    ),
    "negative": ("filename,probability\na,-0.01\n", "probability is '-0.01' in line 2", "0 to 1"),
    "percent": ("filename,probability\na,93%\n", "probability is '93%' in line 2", "0 to 1"),
    "nan": ("filename,probability\na,nan\n", "probability is 'nan' in line 2", "an empty field"),
    "infinite": ("filename,probability\na,inf\n", "probability is 'inf' in line 2", "0 to 1"),
    "duplicate": (
        "filename,probability\na,0\na,1\n",
        "'a' stands in lines 2 and 3",
        "keep one row",
    ),
    "stalled 2": (HEAD + "a,0.4,2,ok\n", "stalled is '2' in line 2", "0 (flowing) and 1"),
    "undecided": (
        HEAD + "a,0.4,,ok\n",
        "stalled is '' in line 2 although probability is 0.4",
        "fill the column",
    ),
    "status": (HEAD + "a,0.4,0,fine\n", "status is 'fine' in line 2", "ok, flagged, failed"),
    "ok without": (
        HEAD + "a,,,ok\n",
        "status is 'ok' in line 2 although probability is empty",
        "correct either",
    ),
    "failed with": (
        HEAD + "a,0.4,0,failed\n",
        "status is 'failed' in line 2 although probability is 0.4",
        "correct either",
    ),
    "frames": (
        "filename,probability,n_frames\na,0.4,6.5\n",
        "n_frames is '6.5' in line 2",
        "whole numbers",
    ),
    "box": ("filename,probability,roi_z0\na,0.4,-3\n", "roi_z0 is '-3' in line 2", "whole numbers"),
}


@pytest.mark.parametrize("text, found, remedy", PREDICTION_FAULTS.values(), ids=PREDICTION_FAULTS)
def test_faults_of_predictions(tmp_path, text, found, remedy):
    path = write(tmp_path / "predictions.csv", text)
    with pytest.raises(TableError) as caught:
        read_predictions(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert found in message
    assert remedy in message


def test_the_real_labels():
    if not os.environ.get("STALLSCAN_REAL_DATA"):
        pytest.skip("STALLSCAN_REAL_DATA does not name the folder of the real tables")
    start = time.process_time()
    folder = Path(os.environ["STALLSCAN_REAL_DATA"]) / "clogloss"
    labels = read_labels(folder / "train_labels.csv.xz")
    assert time.process_time() - start < 15
    assert (len(labels), labels["stalled"].sum()) == (573_048, 1_887)

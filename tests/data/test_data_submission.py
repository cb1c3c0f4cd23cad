"""The submission: the format's order, all videos, no failed row by accident."""

import os
from pathlib import Path

import pandas as pd
import pytest

from stallscan.data import check_submission_filenames, read_submission_format, write_submission
from stallscan.errors import OptionError, TableError


@pytest.fixture
def format_path(tmp_path):
    path = tmp_path / "submission_format.csv"
    path.write_text("filename,stalled\nb.mp4,0\na.mp4,0\nc.mp4,0\n")
    return path


def predictions(stalled):
    names = ["a.mp4", "b.mp4", "c.mp4", "d.mp4"][: len(stalled)]
    return pd.DataFrame({"filename": names, "stalled": pd.array(stalled, dtype="Int64")})


def test_order_and_bytes(tmp_path, format_path):
    out = tmp_path / "submission.csv"
    assert write_submission(out, predictions([1, 0, 1]), format_path) == 0
    assert out.read_bytes() == b"filename,stalled\nb.mp4,0\na.mp4,1\nc.mp4,1\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["submission.csv", format_path.name]


@pytest.mark.parametrize("value", [0, 1])
def test_failed_rows_need_a_word(tmp_path, format_path, value):
    out = tmp_path / "submission.csv"
    table = predictions([1, None, 0])
    with pytest.raises(TableError, match=r"1 of 3 videos failed .*\(b.mp4\).*--failed-as 0"):
        write_submission(out, table, format_path)
    assert not out.exists()
    assert write_submission(out, table, format_path, failed_as=value) == 1
    assert out.read_text() == f"filename,stalled\nb.mp4,{value}\na.mp4,1\nc.mp4,0\n"


def test_videos_must_be_those_of_the_format(tmp_path, format_path):
    out = tmp_path / "submission.csv"
    with pytest.raises(
        TableError, match=r"format.csv: 1 of its 3 videos .*\(c.mp4\).*predict exactly"
    ):
        write_submission(out, predictions([0, 0]), format_path)
    with pytest.raises(TableError, match=r"1 predicted videos are not in it \(d.mp4\)"):
        write_submission(out, predictions([0, 0, 0, 0]), format_path)
    with pytest.raises(TableError, match=r"\(b.mp4, a.mp4, c.mp4\) and 1 predicted .*\(x\)"):
        check_submission_filenames(["x"], format_path)
    assert not out.exists()


def test_options(tmp_path, format_path):
    with pytest.raises(OptionError, match="failed_as is 2: allowed are 0, 1 and None"):
        write_submission(tmp_path / "s.csv", predictions([0, 0, 0]), format_path, failed_as=2)
    with pytest.raises(OptionError, match="no column 'stalled'"):
        write_submission(tmp_path / "s.csv", predictions([0, 0, 0])[["filename"]], format_path)


def test_format_faults(tmp_path):
    path = tmp_path / "format.csv"
    path.write_text("filename,stalled\na,0\na,0\n")
    with pytest.raises(TableError, match=r"format.csv: filename 'a' stands in lines 2 and 3"):
        read_submission_format(path)
    path.write_text("filename\na\n")
    with pytest.raises(TableError, match="no column 'stalled'"):
        read_submission_format(path)


def test_the_real_format(tmp_path):
    if not os.environ.get("STALLSCAN_REAL_DATA"):
        pytest.skip("STALLSCAN_REAL_DATA does not name the folder of the real tables")
    path = Path(os.environ["STALLSCAN_REAL_DATA"]) / "clogloss" / "submission_format.csv"
    names = read_submission_format(path)
    assert len(names) == 14_160
    table = pd.DataFrame({"filename": names[::-1], "stalled": 0})
    write_submission(tmp_path / "s.csv", table, path)
    assert (tmp_path / "s.csv").read_text() == path.read_text().replace("\r\n", "\n")

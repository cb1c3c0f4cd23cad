"""Metadata: typed, small, and every fault told with the file, the line, the value and a remedy."""

import time

import pandas as pd
import pytest

from stallscan.data import (
    METADATA_COLUMNS,
    TEST_METADATA_COLUMNS,
    read_metadata,
    read_submission_format,
)
from stallscan.errors import TableError

HEAD = ",".join(METADATA_COLUMNS)
ROW = "a.mp4,train/a.mp4,P,60,0.25,True,False,True"
# As `stallscan simulate` writes it.
PHANTOM = f"""{HEAD}
100000.mp4,train/100000.mp4,P,53,0.0,True,True,False
100001.mp4,train/100001.mp4,P,61,0.796543,True,True,False
100002.mp4,train/100002.mp4,P,47,0.052,False,True,False
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "train_metadata.csv"


def test_the_phantoms_table_is_typed(path):
    path.write_text(PHANTOM)
    table = read_metadata(path)
    assert tuple(sorted(table.columns)) == tuple(sorted(METADATA_COLUMNS))
    assert table["filename"].tolist() == ["100000.mp4", "100001.mp4", "100002.mp4"]
    assert table["url"].tolist()[2] == "train/100002.mp4"
    assert table["project_id"].tolist() == ["P"] * 3
    assert table["num_frames"].tolist() == [53, 61, 47]
    assert table["crowd_score"].tolist() == [0.0, 0.796543, 0.052]
    assert table["tier1"].tolist() == [True, True, False]
    assert table["micro"].all() and not table["nano"].any()
    assert table.index.tolist() == [0, 1, 2]
    kinds = {name: str(kind) for name, kind in table.dtypes.items()}
    assert kinds["project_id"] == "category"
    assert (kinds["num_frames"], kinds["crowd_score"]) == ("int32", "float64")
    assert {kinds[name] for name in ("tier1", "micro", "nano")} == {"bool"}


def test_scores_beside_a_threshold_keep_their_side(path):
    path.write_text(f"{HEAD}\n{ROW.replace('0.25', '0.4999999999')}\n")
    assert read_metadata(path)["crowd_score"].item() < 0.5


def test_test_metadata_has_three_columns(path):
    path.write_text("filename,url,num_frames\nb.mp4,test/b.mp4,37\na.mp4,,49.0\n")
    table = read_metadata(path)
    assert tuple(table.columns) == TEST_METADATA_COLUMNS
    assert table["num_frames"].tolist() == [37, 49]
    assert table["url"].tolist() == ["test/b.mp4", ""]


def test_what_spreadsheets_write_is_read(path):
    text = f"\ufeffsite, {HEAD}\r\n,\r\nX, {ROW.replace('True', 'TRUE').replace('P', 'NA')} \r\n"
    path.write_bytes(text.encode())
    table = read_metadata(path)
    assert "site" not in table
    assert table.iloc[0][["project_id", "tier1", "micro", "nano"]].tolist() == [
        "NA",
        True,
        False,
        True,
    ]


def without(column: str) -> str:
    kept = [i for i, name in enumerate(METADATA_COLUMNS) if name != column]
    return "\n".join(",".join(line.split(",")[i] for i in kept) for line in (HEAD, ROW))


def second(old: str, new: str) -> str:
    """A table whose second row, line 3, has one field changed."""
    row = ROW.replace("a.mp4", "b.mp4")
    assert row.count(old) == 1
    return f"{HEAD}\n{ROW}\n{row.replace(old, new)}\n"


SCORE = "allowed are 0 to 1"
FRAMES = "whole numbers from 1 up; correct"
BOOLEAN = "allowed are True and False; correct"
FAULTS = {
    **{
        f"no {name}": (
            without(name),
            f"no column {name!r}",
            f"needed are {TEST_METADATA_COLUMNS[0]}",
        )
        for name in METADATA_COLUMNS
    },
    "misspelt": (
        without("crowd_score").replace("tier1", "crowdscore,tier1").replace("60,", "60,0,"),
        "no column 'crowd_score'",
        "did you mean 'crowdscore'?",
    ),
    "duplicate": (f"{HEAD}\n{ROW}\n{ROW}\n", "'a.mp4' stands in lines 2 and 3", "keep one row"),
    "no filename": (
        f"{HEAD}\n{ROW.replace('a.mp4,t', ',t')}\n",
        "line 2 has no",
        "give the video's",
    ),
    "no project": (
        second(",P,", ",,"),
        "project_id is '' in line 3",
        "every video needs a project",
    ),
    "no frames": (second("60", "0"), "num_frames is '0' in line 3", FRAMES),
    "half a frame": (second("60", "60.5"), "num_frames is '60.5' in line 3", FRAMES),
    "frames empty": (second("60", ""), "num_frames is '' in line 3", FRAMES),
    "frames endless": (second("60", "inf"), "num_frames is 'inf' in line 3", FRAMES),
    "score in percent": (second("0.25", "25"), "crowd_score is '25' in line 3", SCORE),
    "score negative": (second("0.25", "-0.1"), "crowd_score is '-0.1' in line 3", SCORE),
    "score nan": (second("0.25", "nan"), "crowd_score is 'nan' in line 3", SCORE),
    "score empty": (second("0.25", ""), "crowd_score is '' in line 3", SCORE),
    "tier1 a number": (
        second("True,False,True", "1,False,True"),
        "tier1 is '1' in line 3",
        BOOLEAN,
    ),
    "micro empty": (second("False", ""), "micro is '' in line 3", BOOLEAN),
    "nano a word": (
        f"{HEAD}\n{ROW}x\n{ROW.replace('a.mp4', 'b.mp4')}x\n",
        "nano is 'Truex' in line 2 (2 such rows)",
        BOOLEAN,
    ),
}


@pytest.mark.parametrize("text, found, remedy", FAULTS.values(), ids=FAULTS)
def test_faults_of_metadata(path, text, found, remedy):
    path.write_text(text)
    with pytest.raises(TableError) as caught:
        read_metadata(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert found in message
    assert remedy in message
    assert "\n" not in message


def test_the_real_training_metadata(real_folder):
    path = real_folder / "train_metadata.csv.xz"
    start = time.process_time()
    table = read_metadata(path)
    assert time.process_time() - start < 15
    assert table.memory_usage(deep=True).sum() < 130e6
    assert len(table) == 573_048
    assert table["project_id"].cat.categories.tolist() == list("ACDEFGHIJKLM")
    assert (table["micro"].sum(), table["nano"].sum()) == (2_399, 1_413)
    text = pd.read_csv(path, dtype=str, keep_default_na=False)
    for name, kind in (
        ("filename", str),
        ("url", str),
        ("num_frames", int),
        ("crowd_score", float),
    ):
        assert table[name].tolist() == text[name].map(kind).tolist()
    for name in ("project_id", "tier1", "micro", "nano"):
        assert (table[name].astype(str) == text[name]).all()


def test_the_real_test_videos_are_those_of_the_submission(real_folder):
    table = read_metadata(real_folder / "test_metadata.csv")
    assert len(table) == 14_160
    assert table["filename"].tolist() == read_submission_format(
        real_folder / "submission_format.csv"
    )

"""Labels, metadata and videos must name the same videos; whoever does not is named."""

import pandas as pd
import pytest

from stallscan.data import join_labels, match_videos, read_labels, read_metadata
from stallscan.errors import TableError


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("filename,stalled\nb.mp4,0\na.mp4,1\nc.mp4,0\nd.mp4,1\n")
    return read_labels(path)


def metadata(tmp_path, names: str) -> pd.DataFrame:
    path = tmp_path / "test_metadata.csv"
    path.write_text("filename,url,num_frames\n" + "".join(f"{n}.mp4,,9\n" for n in names))
    return read_metadata(path)


def test_labels_come_in_the_order_of_the_metadata(tmp_path, labels):
    table = metadata(tmp_path, "dcab")
    joined = join_labels(table, labels)
    assert joined["filename"].tolist() == ["d.mp4", "c.mp4", "a.mp4", "b.mp4"]
    assert joined["stalled"].tolist() == [1, 0, 1, 0]
    assert joined["stalled"].dtype == "int64"
    assert list(joined.columns) == [*table.columns, "stalled"] and "stalled" not in table
    assert joined.attrs["path"] == str(tmp_path / "test_metadata.csv")


def test_labels_come_in_the_order_of_the_videos(labels):
    matched = match_videos(iter(["c.mp4", "a.mp4", "b.mp4", "d.mp4"]), labels)
    assert list(matched.columns) == ["filename", "stalled"]
    assert dict(matched.itertuples(index=False)) == {
        "c.mp4": 0,
        "a.mp4": 1,
        "b.mp4": 0,
        "d.mp4": 1,
    }
    assert matched["filename"].tolist() == ["c.mp4", "a.mp4", "b.mp4", "d.mp4"]
    assert matched["stalled"].dtype == "int64"


FAULTS = {
    "video missing": (
        ["a", "b", "d"],
        r"1 of its 4 labelled videos are not among the 3 {where} \(c.mp4\); {remedy}",
    ),
    "all but one missing, counted and cut": (
        ["x"],
        r"4 of its 4 .* the 1 {where} \(b.mp4, a.mp4, c.mp4 …\) and 1 of the 1 {where} have "
        r"no label \(x.mp4\); {remedy}",
    ),
    "label missing": (
        ["a", "b", "c", "d", "z", "y"],
        r"labels.csv: 2 of the 6 {where} have no label \(z.mp4, y.mp4\); {remedy}",
    ),
    "sizes equal, names not": (
        ["a", "b", "c", "D"],
        r"1 of its 4 .* the 4 {where} \(d.mp4\) and 1 of the 4 .* \(D.mp4\); {remedy}",
    ),
}


@pytest.mark.parametrize("names, message", FAULTS.values(), ids=FAULTS)
def test_disagreements(tmp_path, labels, names, message):
    source = str(tmp_path / "labels.csv")
    with pytest.raises(
        TableError,
        match=message.format(where="videos of .*test_metadata.csv", remedy="pass metadata and"),
    ) as caught:
        join_labels(metadata(tmp_path, names), labels)
    assert str(caught.value).startswith(f"{source}: ")
    with pytest.raises(
        TableError,
        match=message.format(where="videos that are there", remedy="add what is missing, or take"),
    ) as caught:
        match_videos([f"{name}.mp4" for name in names], labels)
    assert str(caught.value).startswith(f"{source}: ")


def test_two_videos_of_one_name(labels):
    names = ["a.mp4", "b.mp4", "c.mp4", "d.mp4", "c.mp4"]
    with pytest.raises(
        TableError, match=r"^the videos that .*: more than one video is called 'c.mp4'; keep"
    ):
        match_videos(names, labels)
    twice = pd.concat([labels, labels.iloc[1:2]])
    with pytest.raises(
        TableError, match=r"labels.csv: more than one video is called 'a.mp4'; keep one"
    ):
        match_videos(names[:4], twice)


def test_videos_without_a_label_may_be_left_out(labels):
    names = ["z.mp4", "b.mp4", "d.mp4", "a.mp4", "y.mp4", "c.mp4"]
    matched = match_videos(names, labels, all_labelled=False)
    assert matched["filename"].tolist() == ["b.mp4", "d.mp4", "a.mp4", "c.mp4"]
    expected = labels.set_index("filename")["stalled"].loc[matched["filename"]]
    assert matched["stalled"].tolist() == expected.tolist()
    with pytest.raises(
        TableError,
        match=r"2 of its 4 labelled videos are not among the 3 videos .* \(b.mp4, d.mp4\);",
    ):
        match_videos(["z.mp4", "a.mp4", "c.mp4"], labels, all_labelled=False)


def test_tables_that_came_from_no_file():
    labels = pd.DataFrame({"filename": ["a"], "stalled": [0]})
    with pytest.raises(
        TableError, match=r"^the labels: 1 of its 1 .* 1 videos that are there \(a\) and 1 "
    ):
        match_videos(["b"], labels)
    with pytest.raises(TableError, match=r"^the labels: has no column 'stalled' .*needed are file"):
        match_videos(["a"], labels[["filename"]])
    with pytest.raises(TableError, match=r"^the metadata: has no column 'filename'"):
        join_labels(pd.DataFrame({"name": ["a"]}), labels)


def test_the_real_tables_name_the_same_videos(real_tables):
    joined = join_labels(*real_tables)
    counts = joined["stalled"].value_counts()
    assert (counts[1], counts[0]) == (1_887, 571_161)
    assert joined.loc[joined["tier1"], "stalled"].sum() == 706

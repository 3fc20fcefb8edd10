"""Tables in the layouts of other publishers, and of one's own."""

import numpy as np
import pytest
from refusals import refused

from benchmark.errors import TrialsError
from benchmark.stimuli.catalogue import prompt_order
from benchmark.stimuli.trials import MARGIN, TableHints, read_tables, stated_columns

LABELLED = "image,timestamp,response,pred_label,pred_conf\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_image_and_label_are_a_table(tmp_path):
    """Free text in "response" is no answer; the image's name says the category, the place who answered and how."""
    root = tmp_path / "vlm_shapebias"
    rows = 'cat1-dog2,,"A cat, or two",dog,0.9\ndog1-dog2,,M,None,\n'
    write(root / "raw-data/vlm/vqa/20240205_205018_llava_1_5_7b.csv", LABELLED + rows)
    (file,) = read_tables(root).files
    assert (file.observer, file.experiment, file.kind) == (
        "llava_1_5_7b", "cue-conflict", "published",
    )  # fmt: skip
    assert str(file.named) == "llava_1_5_7b (vlm_shapebias)"
    assert file.prompt == "a question with the 16 categories as options"
    assert file.columns["stimulus"].tolist() == ["cat1-dog2.png", "dog1-dog2.png"]
    assert file.columns["category"].tolist() == ["cat", "dog"]
    assert file.columns["response"].tolist() == ["dog", "na"]


def test_the_prompts_of_one_observer_are_told_by_the_names_of_its_files(tmp_path):
    clip = tmp_path / "vlm_shapebias" / "clip"
    names = ("clip_RN50_openai_None", "clip_RN50_openai_a_photo_of_a_CLS.", "clip_RN50_openai_CLS",
             "EVA_448_None_None", "EVA_448_None_CLS")  # fmt: skip
    for name in names:
        write(clip / f"{name}.csv", "image,response,pred_label\ncat1-dog2,cat,cat\n")
    files = {(str(one.named), one.prompt) for one in read_tables(tmp_path).files}
    usual, photo, bare = "mean of ImageNet's 80 templates", "a photo of a {}.", "{}"
    assert files == {
        *(("RN50_openai (vlm_shapebias)", prompt) for prompt in (usual, photo, bare)),
        *(("EVA_448_None (vlm_shapebias)", prompt) for prompt in (usual, bare)),
    }
    assert sorted(
        [bare, photo, "another", usual], key=lambda p: prompt_order("vlm_shapebias", p)
    ) == [
        usual, photo, bare, "another",
    ]  # fmt: skip


def test_a_file_that_does_not_fit_is_left_out_and_said(tmp_path):
    head = "subj,object_response,category,condition,imagename\n"
    write(tmp_path / "edge_a_session-1.csv", head + "net,cat,cat,0,cat1.png\n")
    bad = write(tmp_path / "edge_b_session-1.csv", head + "net,zebra,cat,0,cat2.png\n")
    found = read_tables(tmp_path)
    assert [len(file) for file in found.files] == [1]
    assert list(found.unfit) == [bad] and "row 2: object_response is 'zebra'" in str(found.unfit[bad])
    refused("zebra", read_tables, bad)


def test_what_is_known_to_be_no_table_is_no_failure(tmp_path):
    root = tmp_path / "vlm_shapebias"
    write(root / "prompt_search_results.csv", ",Model,accuracy\n")
    write(root / "inet_classifier" / "resnet50.csv", "image,pred_label\ncat1-dog2,cat\n")
    found = read_tables(root)
    assert not found.unfit and list(found.others.values()) == ["scores per prompt"]


def test_decision_margins_are_kept(tmp_path):
    text = (
        "subj,object_response,category,condition,imagename,filename,decision_margin\n"
        "net,cat,cat,0,cat1.png,x,1.5\nnet,dog,cat,0,cat2.png,x,\n"
    )
    (file,) = read_tables(write(tmp_path / "edge_net_session-1.csv", text)).files
    np.testing.assert_array_equal(file.columns[MARGIN], [1.5, np.nan])
    bad = write(tmp_path / "edge_net_session-2.csv", text.replace("1.5", "wide"))
    refused("row 2: decision_margin is 'wide'", read_tables, bad)


def test_a_table_of_ones_own(tmp_path):
    """Whatever its columns and its file are called."""
    path = write(tmp_path / "mine.csv", "file,answer\ncat1-dog2.png,dog\ncat2-cat1.png,cat\n")
    columns = stated_columns("file=imagename, ANSWER=object_response")
    stated = TableHints("style-transfer-512-nomask", "my-net", "lab", columns)
    (file,) = read_tables(path, stated).files
    assert str(file.named) == "my-net (lab)" and file.experiment == "cue-conflict"
    assert file.columns["category"].tolist() == ["cat", "cat"]
    refused(r"no column 'subj'.*--observer NAME", read_tables, path, TableHints("cue-conflict", None, "lab", columns))
    with pytest.raises(TrialsError, match=r"no column 'name', which --columns names"):
        read_tables(path, TableHints("cue-conflict", "x", "lab", {"name": "imagename"}))
    other = write(tmp_path / "other.csv", "file,answer\nphoto.png,dog\n")
    refused(r"row 2: 'photo.png' names no category", read_tables, other, stated)


@pytest.mark.parametrize("text", ["file", "=imagename", "file=picture", "a=rt,b=rt"])
def test_columns_are_stated_as_pairs(text):
    refused(r"expected THEIRS=OURS.*imagename", stated_columns, text)


import re
import subprocess
import sys
import zipfile
from pathlib import Path

import jupytext
import numpy as np
import pytest
from conftest import teacher
from PIL import Image

from kdlib import catalog, data
from kdlib.data import DataError, imports, own, stored
from kdlib.experiments.design import Design, DesignError
from kdlib.paths import project_root
from kdlib.spec import Data, Student
from kdlib.store import Store, StoreError

PAGE = (project_root() / "book" / "own_data.md").read_text()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, store_here):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pictures(n=10, side=(9, 12), classes=3, seed=0):
    """(uint8 [n, h, w, 3], labels [n])."""
    x = np.random.default_rng(seed).integers(0, 256, (n, *side, 3), dtype=np.uint8)
    return x, np.arange(n) % classes


def in_folders(at, form="png", **parts):
    """`part/<class>/<image>`, of part "" without it; classes are called c0, c1 ..."""
    for part, (x, y) in parts.items():
        for i, (image, label) in enumerate(zip(x, y, strict=True)):
            folder = Path(at, part.strip("_"), f"c{label}")
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{i}.{form}", **({"quality": 100} if form == "jpg" else {}))
    return Path(at)


def zipped(folder):
    with zipfile.ZipFile("a.zip", "w") as archive:
        for path in folder.rglob("*.*"):
            archive.write(path)
    return Path("a.zip")


def fingerprint(name):
    return stored.info(name)["fingerprint"]


def test_shape_classes_and_content_are_found_in_whatever_form_they_come():
    train, test = pictures(10), pictures(5, seed=1)
    names, (x, y), (test_x, test_y) = np.array(["c0", "c1", "c2"]), train, test
    np.savez("a.npz", x_train=x, y_train=y, x_test=test_x, y_test=test_y, classes=names)
    np.savez("b.npz", train_images=x.transpose(0, 3, 1, 2), train_labels=y[:, None], test_images=test_x / 255,
             test_labels=test_y.astype(">i4"), names=names)
    np.savez("c.npz", x_train=x[::-1], y_train=y[::-1], x_val=test_x, y_val=test_y, class_names=names)
    folder = in_folders("folder", Train=train, VAL=test)
    in_folders("three", train=train, test=test, val=pictures(4))
    for i, source in enumerate(("a.npz", "b.npz", "c.npz", folder, zipped(folder), "three")):
        said = own.import_new(f"own-{i}", source)
        assert "10 training and 5 test images [3, 9, 12] of 3 classes (c0, c1, c2), fingerprint" in said
        assert fingerprint(f"own-{i}") == fingerprint("own-0")
    known = catalog.data_set("own-3")
    assert (known.inputs.shape, known.names, known.total("train")) == ((3, 9, 12), ("c0", "c1", "c2"), 10) and known.own
    assert catalog.data_sets()[-6:] == [f"own-{i}" for i in range(6)]
    stored.check("own-3")


def test_grey_images_become_colour_images_of_equal_channels():
    x, y = pictures(12)
    np.savez("a.npz", x=x[..., 0], y=y)
    np.savez("b.npz", x=x[..., :1], y=y)
    own.import_new("a", "a.npz"), own.import_new("b", "b.npz")
    stored_x = stored.array("a", "train-x")
    assert stored_x.shape[1:] == (3, 9, 12) and (stored_x[:, 0] == stored_x[:, 2]).all()
    assert fingerprint("a") == fingerprint("b")


def test_one_of_five_of_each_class_is_tested_on_whatever_the_order():
    x, y = pictures(30)
    np.savez("a.npz", x=x, y=y)
    np.savez("b.npz", x=x[::-1], y=y[::-1])
    assert "one of 5 of each class is tested on" in own.import_new("a", "a.npz")
    own.import_new("b", "b.npz")
    assert fingerprint("a") == fingerprint("b")
    assert np.bincount(stored.array("a", "test-y")).tolist() == [2] * 3
    apart = {image.tobytes() for part in ("train", "test") for image in stored.array("a", f"{part}-x")}
    assert len(apart) == 30


def test_more_than_256_classes_keep_their_labels():
    x, y = pictures(600, side=(8, 8), classes=300)
    np.savez("a.npz", x_train=x, y_train=y, x_test=x[:300], y_test=y[:300])
    own.import_new("many", "a.npz")
    assert data.load("many", 0, 300, 300).test_y.unique().tolist() == list(range(300))


def test_a_set_of_ones_own_is_a_word_of_specs_and_its_content_is_known_to_records():
    np.savez("a.npz", x=pictures(150)[0], y=pictures(150)[1])
    np.savez("b.npz", x=pictures(150, seed=1)[0], y=pictures(150)[1])
    with pytest.raises(ValueError, match="there is no data set 'mine'; there are mnist1d"):
        Data(name="mine", trial=0, train=50, test=20)
    own.import_new("mine", "a.npz")
    spec = teacher(name="mine", model="resnet8-bn-w4").but(data=Data(name="mine", trial=0, train=50, test=20))
    assert Student(teachers=(spec,), model="vgg11-w4", policy="rotation", training=spec.training).size == 50
    (record, _), = Store().run([spec])
    assert record.content == {"mine": fingerprint("mine")}
    first = fingerprint("mine")
    assert f"takes the place of other content, fingerprint {first}" in own.import_new("mine", "b.npz")
    with pytest.raises(StoreError, match=first):
        Store().run([spec])
    with pytest.raises(ValueError, match="lenet5 takes images"):
        teacher(name="mine", model="lenet5")
    with pytest.raises(DataError, match="mine is your own: import it with .* --new"):
        imports.import_("mine", "a.npz")


def of_arrays(**changes):
    x, y = pictures(12)
    np.savez("a.npz", **{name: value for name, value in ({"x": x, "y": y} | changes).items() if value is not None})
    return "a.npz"


def odd_size():
    in_folders("odd", train=pictures(6), test=pictures(6))
    Image.new("RGB", (5, 9)).save("odd/train/c1/9.png")
    return "odd"


@pytest.mark.parametrize(("make", "says"), [
    (lambda: "nowhere", "nowhere does not exist"),
    (lambda: in_folders("few", train=pictures(2, classes=1)), "images of one class only"),
    (lambda: in_folders("few", train=pictures(2, classes=2)), "a class of a single image, and no test part"),
    (lambda: in_folders("only", test=pictures()), "a test part and none that is called train"),
    (lambda: in_folders("more", train=pictures(2, classes=2), test=pictures(3)), "test images of class c2, and no"),
    (odd_size, "has \\(5, 9\\) pixels, and images of this set have \\(12, 9\\)"),
    (lambda: in_folders("tiny", train=pictures(side=(4, 4))), "4 x 4 pixels: sides must have 8 to 512"),
    (lambda: Path("empty").mkdir() or "empty", "there are no class folders in empty; .* takes a folder"),
    (lambda: of_arrays(y=None), "has arrays x; .* takes a folder"),
    (lambda: of_arrays(y=np.arange(11)), "labels int64 \\[11\\] for 12 images"),
    (lambda: of_arrays(y=-np.arange(12)), "whole numbers from 0"),
    (lambda: of_arrays(y=np.arange(12) * 2), "no training image of class 1"),
    (lambda: of_arrays(x=np.zeros((12, 9, 9, 5))), "no images \\[n, h, w\\]"),
    (lambda: of_arrays(x=np.full((12, 9, 9), 7.5)), "neither whole numbers from 0 to 255 nor shares"),
    (lambda: of_arrays(x=np.full((12, 9, 9), np.nan)), "neither whole numbers"),
    (lambda: of_arrays(x=np.full((12, 9, 9), 300)), "neither whole numbers"),
    (lambda: of_arrays(x=np.array([None] * 12)), "x in a.npz is damaged, or is no array of numbers"),
    (lambda: of_arrays(classes=np.array(["a", "b"])), "label 2, and names of 2 classes"),
])
def test_what_is_no_set_of_images_is_one_sentence_and_nothing_is_stored(kdlib, make, says):
    code, out, error = kdlib("data", "import", "mine", make(), "--new")
    assert code == 2 and out == "" and re.search(says, error) and error.count("\n") == 1
    assert not Path("data").exists()


@pytest.mark.parametrize(("name", "says"), [
    ("cifar10", "cifar10 is a data set that kdlib knows"), ("My Set", "small letters"), ("../up", "small letters")])
def test_a_name_that_is_taken_or_none_is_refused(name, says):
    with pytest.raises(DataError, match=says):
        own.import_new(name, of_arrays())


def test_what_others_wrote_into_the_folder_of_data_is_no_set(here):
    for content in ("[]", "{", '{"classes": 7}', '{"classes": ["a", "b"], "arrays": {"train-x": 1}}'):
        folder = here / "data" / "mine"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "info.json").write_text(content)
        assert "mine" not in catalog.data_sets()


@pytest.mark.parametrize("damage", [
    lambda note: note.write_text("{"), lambda note: note.write_text("[]"), lambda note: note.unlink(),
    lambda note: note.write_text(note.read_text().replace('"classes"', '"klasses"'))],
    ids=["cut off", "another form", "missing", "without classes"])
def test_a_set_of_ones_own_whose_note_is_damaged_does_not_vanish(here, kdlib, damage):
    own.import_new("mine", of_arrays())
    assert kdlib("data", "list")[0] == 0
    damage(here / "data" / "mine" / "info.json")
    code, out, _ = kdlib("data", "list")
    again = "import it again (`kdlib data import mine PATH --new`)"
    assert code == 1 and re.search(rf"^mine +not usable: .*{re.escape(again)}$", out, re.M)
    with pytest.raises(ValueError, match=f"is one of your own, and damaged or only partly here: {re.escape(again)}"):
        Data(name="mine", trial=0, train=5, test=2)
    code, _, error = kdlib("data", "show", "mine")
    assert code == 2 and again in error
    own.import_new("mine", of_arrays())
    assert kdlib("data", "list")[0] == 0 and "mine" in catalog.data_sets()


def test_chapter_1_is_of_as_many_images_as_there_are():
    np.savez("a.npz", x_train=pictures(48)[0], y_train=pictures(48)[1], x_test=pictures(9)[0], y_test=pictures(9)[1])
    own.import_new("mine", "a.npz")
    d = Design("smoke", 1, "mine")
    last = d.student(5, 1, d.profile.fidelity_gap.factors[-1])
    assert (d.profile.train, d.profile.test, last.size) == (12, 9, 48) and d.with_seeds(2).profile == d.profile
    for name, says in (("no", "there is no data set 'no'"), ("mnist", "colour images, and mnist has images")):
        with pytest.raises(DesignError, match=says):
            Design("smoke", 1, name)
    np.savez("b.npz", x_train=pictures(9)[0], y_train=pictures(9)[1], x_test=pictures(9)[0], y_test=pictures(9)[1])
    own.import_new("few", "b.npz")
    with pytest.raises(DesignError, match="few has 9 training images, and needs 4 of each of its 3 classes"):
        Design("smoke", 1, "few")


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.S)


def test_the_page_of_the_book_does_what_it_says(kdlib, capsys):
    make, more = blocks("python")
    command, _ = blocks("bash")
    exec(make, {})
    code, out, _ = kdlib(*command.split()[1:])
    assert code == 0 and out == blocks("text")[0]
    exec(more, {})
    assert -1 <= float(capsys.readouterr().out) <= 1


@pytest.mark.slow
def test_one_line_runs_chapter_1_on_a_folder_of_ones_own(here):
    exec(blocks("python")[0], {})
    own.import_new("colours", "colours")
    (line,) = re.findall(r"^papermill (.*)$", blocks("bash")[1], re.M)
    notebook = project_root() / line.split()[0]
    options = [*line.split()[2:], "-p", "seeds", "1", "-p", "workers", "1"]
    done = subprocess.run([sys.executable, "-m", "papermill", notebook, "out.ipynb", *options], capture_output=True,
                          text=True, cwd=here)
    assert done.returncode == 0, done.stderr[-2000:]
    page = Path("out.ipynb").read_text()
    figures = sum("figure" in cell.metadata.get("mystnb", {}) for cell in jupytext.read(
        project_root() / "notebooks" / "01_fidelity_gap.py").cells)
    assert page.count('"image/svg+xml"') == figures and "-p profile smoke -p data colours" in page
    assert "profile smoke on colours" in page
    # what it says to do can be done with these data: nothing of them is recorded
    assert "kdlib run 01_fidelity_gap --profile smoke" not in page and "reads the recorded runs" not in page

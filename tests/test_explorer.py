"""The explorer: what it draws and lists is what is recorded, by mouse and by keyboard, with nothing from elsewhere."""

import json
import re
from dataclasses import replace

import pages
import pytest

from kdlib import explorer, figures
from kdlib.paths import project_root

STATIC = project_root() / "book" / "_static"


@pytest.fixture(scope="module")
def found():
    return explorer.sources(("workstation",))


@pytest.fixture(scope="module")
def data(found):
    return explorer.students(found)


@pytest.fixture(scope="module")
def recorded(found):
    """The students by the beginning of their keys; of one that was measured twice, the first."""
    first = {}
    for record in found["workstation"].records:
        if record.spec["kind"] == "student":
            first.setdefault(json.dumps(record.spec | {"measures": ""}, sort_keys=True), record)
    return {record.key[:explorer.KEY]: record for record in first.values()}


def test_every_recorded_student_is_there_once_with_its_own_numbers_and_setting(found, data, recorded):
    assert len(recorded) < sum(r.spec["kind"] == "student" for r in found["workstation"].records)  # some are twice
    assert sorted(run[3] for run in data["runs"]) == sorted(recorded)  # a beginning of a key is of one run alone
    for place, file, trial, key, *numbers in data["runs"]:
        record, fields = recorded[key], explorer.setting(data, [place])
        metrics = record.metrics | record.numbers(("unseen_agreement", "unseen_kl"))
        assert [number / 10_000 for number in numbers] == pytest.approx(
            [metrics[name] for name in explorer.METRICS], abs=5.1e-5)
        assert (fields["m"], fields["temperature"], fields["policy"], fields["lambda"], fields["steps"], trial) == (
            len(record.spec["teachers"]), record.spec["temperature"], record.spec["policy"],
            record.spec["toward_teacher"], record.spec["training"]["steps"],
            record.spec["teachers"][0]["data"]["trial"])
        assert fields["amount"] == pytest.approx(record.metrics["inputs"] / fields["train"], rel=0.01)
        assert f'"{record.key}"' in (project_root() / data["files"][file]).read_text()


def test_every_link_to_a_run_from_a_page_finds_it():
    data = explorer.students(explorer.sources())
    keys = {run[3] for run in data["runs"]}
    linked = {key for page in (project_root() / "notebooks").glob("*.ipynb")
              for key in re.findall(r"explorer\.html\?run=(\w+)", page.read_text(encoding="utf8"))}
    assert {data["twins"].get(key, key) for key in linked} <= keys and linked & set(data["twins"])


def test_a_condition_has_every_trial_once_at_the_most(data):
    assert len({(run[0], run[2]) for run in data["runs"]}) == len(data["runs"])


def test_a_surface_is_that_of_its_record(found):
    records = {r.key[:explorer.KEY]: r for r in found["workstation"].records}
    there = explorer.surfaces(found)
    assert {s["key"] for s in there} == {key for key, r in records.items() if r.spec["kind"] == "surface"}
    for surface in there:
        curves = records[surface["key"]].curves
        assert surface["segment"] == pytest.approx(curves["segment"], rel=1e-3, abs=1e-6)
        assert ("plane" in surface) == ("plane" in curves)
    assert any("plane" in s for s in there)


def test_a_row_of_surfaces_has_each_lambda_once_a_trial_and_is_named_by_what_sets_it_apart(found):
    surfaces = [record for record in found["workstation"].records if record.spec["kind"] == "surface"]

    def drawn_anew(record):
        spec = json.loads(record.line())["spec"]
        spec["student"]["draw"] = "he-fan-out"
        return replace(record, spec=spec)

    rows = {"torch": [r for r in surfaces if r.planned.subject.draw == "torch"]}
    rows["he-fan-out"] = [drawn_anew(record) for record in rows["torch"]]
    there = explorer.surfaces({"workstation": explorer.Source([*rows["torch"], *rows["he-fan-out"]], {})})
    places = [(s["of"], s["trial"], s["lambda"]) for s in there]
    assert len(set(places)) == len(places) == len(there) and places == sorted(places)
    assert {s["of"] for s in there} == {f"workstation: cifar100-16, draw {draw}" for draw in rows}
    alone = explorer.surfaces({"workstation": explorer.Source(rows["torch"], {})})
    assert {s["of"] for s in alone} == {"workstation: cifar100-16"}


def test_charts_have_the_books_colours_and_marks_and_ask_for_nothing():
    for view in explorer.VIEWS.values():
        assert {view.x, view.y} <= set(explorer.METRICS)
        spec = explorer.chart(view).to_dict()
        colour = spec["layer"][1]["encoding"]["color"]["scale"]
        assert dict(zip(colour["domain"], colour["range"], strict=True)) == {
            "1": figures.BLUE, "3": figures.ORANGE, "5": figures.GREEN, explorer.OTHER: explorer.MIDDLE}
        assert '"url"' not in json.dumps(spec)


def test_paper_has_the_picture_alone(found):
    page = explorer.page("_static", interactive=False)
    assert page.startswith("<img") and "script" not in page and len(explorer.ALT) > 20
    assert explorer.picture(found).startswith(b"\x89PNG")
    assert explorer.picture({}).startswith(b"\x89PNG")  # nothing is recorded yet


# --- in a browser

@pytest.fixture(scope="module")
def address(found, tmp_path_factory):
    """A page that has the explorer alone, as a file."""
    folder = tmp_path_factory.mktemp("explorer")
    (folder / "_static").mkdir()
    made = explorer.files(found)
    assert len(made["vega.js"]) < 1_000_000
    made |= {name: (STATIC / name).read_bytes() for name in ("explorer.js", "book.css", "print.css")}
    for name, content in made.items():
        (folder / "_static" / name).write_bytes(content)
    (folder / "page.html").write_text(
        '<html lang="en" data-theme="light"><meta charset="utf-8"><title>x</title><link rel="stylesheet" '
        'href="_static/book.css"><link rel="stylesheet" media="print" href="_static/print.css">'
        f'<main><h1>x</h1>{explorer.page("_static")}{explorer.surface_page()}</main>')
    return (folder / "page.html").as_uri()


def drawn(page, n):
    page.wait_for_function(f"document.querySelector('.explorer .chart').dataset.drawn === '{n}'")


@pytest.mark.slow
def test_runs_are_chosen_and_opened_by_keyboard_and_the_address_keeps_both(browser, address, data, recorded):
    of_three = [run for run in data["runs"] if explorer.setting(data, run)["m"] == 3]
    with pages.opened(browser, f"{address}?m=3") as (page, faults):
        drawn(page, len(of_three))
        assert page.locator("form output").first.inner_text() == f"{len(of_three)} of {len(data['runs'])} students"
        page.focus("select[name=temperature]")
        page.keyboard.press("ArrowDown")
        shown = [run for run in of_three if explorer.setting(data, run)["temperature"] == 1]
        drawn(page, len(shown))
        assert "m=3" in page.url and "temperature=1" in page.url
        page.focus("table tbody button")
        page.keyboard.press("Enter")
        key = page.evaluate("document.activeElement.dataset.run")  # redrawn, the focus stays where it was
        assert key == shown[0][3] and f"run={key}" in page.url
        told = page.locator(".selected").inner_text()
        assert f"kdlib audit --key {key}" in told and f"{100 * recorded[key].metrics['agreement']:.1f} %" in told
        page.goto(page.url)
        drawn(page, len(shown))
        assert page.locator(".selected").inner_text() == told
        page.click("button[type=reset]")
        drawn(page, len(data["runs"]))
        assert "?" not in page.url.replace(f"?run={key}", "") and faults == []


@pytest.mark.slow
def test_the_table_has_what_is_drawn_in_the_order_asked_for(browser, address, data):
    with pages.opened(browser, address, 375) as (page, faults):
        drawn(page, len(data["runs"]))
        page.click("[data-sort=agreement]")
        page.click("[data-sort=agreement]")
        place = page.evaluate("[...document.querySelectorAll('[data-sort]')].findIndex("
                              "b => b.dataset.sort === 'agreement')")
        first = [float(row.locator("th, td").nth(place).inner_text()) for row in page.locator("tbody tr").all()]
        agreement = explorer.METRICS.index("agreement") + 4
        assert first == sorted((round(run[agreement] / 100, 1) for run in data["runs"]), reverse=True)[:len(first)]
        assert page.locator("th[aria-sort=descending]").count() == 1
        page.click("[name=after]")
        assert f"of {len(data['runs'])}" in page.locator(".pages").inner_text()
        assert page.locator("tbody tr").first.inner_text() != "" and faults == []


@pytest.mark.slow
def test_a_touch_selects_the_nearest_point(browser, address, data):
    with pages.opened(browser, address, 375) as (page, faults):
        drawn(page, len(data["runs"]))
        canvas = page.locator(".explorer canvas")
        box = canvas.bounding_box()
        for place in range(10, 90, 4):  # along the diagonal it meets one
            canvas.click(position={"x": box["width"] * place / 100, "y": box["height"] * (1 - place / 100)})
            if "run=" in page.url:
                break
        assert page.locator(".selected h2").inner_text().removeprefix("Run ") in page.url
        assert page.locator("tr.chosen").count() == 1 and faults == []


@pytest.mark.slow
def test_the_slider_shows_the_surface_of_its_lambda(browser, address, found):
    first = explorer.surfaces(found)[0]
    mine = [s for s in explorer.surfaces(found) if (s["of"], s["trial"]) == (first["of"], first["trial"])]
    with pages.opened(browser, address) as (page, faults):
        page.focus("input[name=at]")
        for i, surface in enumerate(mine):
            if i:
                page.keyboard.press("ArrowRight")
            page.wait_for_function(f"document.querySelector('.surfaces .from').innerText.includes('{surface['key']}')")
            assert f"λ = {surface['lambda']:g}: " in page.locator(".surfaces output").inner_text()
            assert page.locator(".surfaces .plane").is_visible() == ("plane" in surface)
        assert faults == []


@pytest.mark.slow
def test_without_scripts_and_on_paper_a_picture_is_there(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.locator("img.still").is_visible() and not page.locator("form.live").first.is_visible()
    context.close()
    with pages.opened(browser, address) as (page, _):
        page.wait_for_selector(".chart[data-drawn]")
        assert not page.locator("img.still").is_visible()
        page.emulate_media(media="print")
        assert page.locator("img.still").is_visible() and not page.locator("form.live").first.is_visible()

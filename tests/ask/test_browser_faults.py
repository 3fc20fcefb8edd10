"""People whose page is closed, opened twice or cut off, and several at once: no answer is lost."""

import signal

import pytest
from ask.browsing import SOME, table
from ask.test_serving import started

from benchmark import api

pytestmark = pytest.mark.slow


def test_a_closed_page_goes_on_where_it_was(visit, page, tmp_path):
    person = visit(page("world-natural", trials=48), pace=20)
    person.begin(number=5)
    person.until(19)
    person.page.close()
    person.page = person.open()
    before = person.page.locator("section p").first.inner_text()
    assert "You are number 5" in before and "of 48 images are done" in before
    person.press("Go on", "Go on")  # instructions
    person.finish()
    rows = table(person.saved("csv", tmp_path))
    assert sorted(int(row["trial"]) for row in rows if row["status"] == "ok") == list(range(1, 49))
    assert [row["trial"] for row in rows if row["status"] == "check"] == ["c1"]
    person.press("Next person")
    consent = person.page.get_by_role("checkbox")
    consent.wait_for()  # the page is loaded again
    assert consent.is_visible()


@pytest.mark.release
def test_two_tabs_of_one_person_answer_each_trial_once(visit, page, tmp_path):
    person = visit(page("world-natural", trials=48), pace=150)
    person.begin(number=5)
    first = person.page
    person.until(14, first)
    person.page = person.open()
    person.press("Go on", "Go on")
    person.until(6)
    assert "another tab" in first.locator("section").inner_text()
    first.get_by_role("button", name="Go on here").click()
    person.page.get_by_text("another tab").wait_for()
    person.page = first
    person.finish()
    rows = table(person.saved("csv", tmp_path))
    assert sorted(int(row["trial"]) for row in rows if row["status"] == "ok") == list(range(1, 49))


@pytest.mark.release
def test_a_server_that_is_killed_and_a_lost_connection_lose_no_answer(visit, tmp_path, session):
    folder = tmp_path / "asked"
    process, port = started(folder, trials=64)
    person = visit(f"http://127.0.0.1:{port}/", answer=SOME, pace=100)
    person.begin()
    person.until(19)
    process.send_signal(signal.SIGKILL)
    process.wait()
    person.until(29)
    process, port = started(folder, port, trials=64)
    person.until(39)
    person.context.set_offline(True)
    person.until(54)
    person.context.set_offline(False)
    person.finish()
    person.page.get_by_text("All answers have arrived").wait_for(timeout=60_000)
    assert not person.page.locator("a[download]").first.is_visible()
    said = {item["name"]: item["said"] for item in person.page.evaluate("window.shown") if item.get("name")}
    rows = table(folder / "answers-session-1.csv")
    assert len(rows) == 64 + 1
    assert {row["imagename"]: row["object_response"] for row in rows if row["status"] == "ok"} == said
    process.send_signal(signal.SIGINT)
    process.wait(timeout=20)
    # Chromium says of every failed request that it failed.
    person.complaints[:] = [line for line in person.complaints if "net::ERR_" not in line]


@pytest.mark.release
def test_several_people_at_once_are_as_many(visit, browser, tmp_path):
    """Two at the same time in browsers of their own, with the same images; the code is not in the page."""
    folder, link = tmp_path / "asked", "https://app.prolific.com/submissions/complete?cc=C1"
    process, port = started(folder, trials=16, more=("--completion", link, "--criterion", "0"))
    address = f"http://127.0.0.1:{port}/?participant="
    people = [visit(f"{address}p{number}", answer=answer) for number, answer in enumerate((SOME, "() => 'cat'"))]
    for person in people:
        assert "cc=C1" not in person.page.content()
        person.begin()
    for person in people:
        person.finish()
        person.page.get_by_text("All answers have arrived").wait_for(timeout=60_000)
        assert person.page.get_by_role("link", name="Finish").get_attribute("href") == link
    process.send_signal(signal.SIGINT)
    process.wait(timeout=20)
    db = str(tmp_path / "results.db")
    assert api.import_trials(folder, source="lab", db=db).trials == 32
    rows = table(folder / "answers-session-1.csv")
    assert {(row["subj"], row["participant"]) for row in rows} == {("subject-01", "p0"), ("subject-02", "p1")}
    shown = [row["imagename"] for row in rows if row["subj"] == "subject-02"]
    stored = api.trials(api.Selection(db), "subject-01 (lab)", "human-comparison")["stimulus"]
    assert set(stored) == set(shown) and len(shown) == 16

"""People at the page of `bench ask` who answer what they are told to, at a display whose clock is the test's."""

import csv
import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next((path for path in map(shutil.which, NAMES) if path), None)

#: Answers "cat" to a third of the images, and what the image shows to the others; checks are passed.
SOME = "(item) => item.check || (item.image % 3 ? item.category : 'cat')"

#: A display of `hz` whose time goes on only when a frame is asked for, or an answer takes its time: everything runs as
#: fast as it can, and what was measured is known. `slow(n)`: so many more frames than one the n-th asked for takes.
CLOCK = """
(() => {
  const hz = HZ, slow = SLOW;
  let now = 1000, asked = 0;
  performance.now = () => now;
  window.pass = (ms) => { now += ms; };
  window.requestAnimationFrame = (draw) => {
    const extra = slow(asked++);
    const soon = new MessageChannel();  // no timer: those wait for 4 ms at least
    soon.port1.onmessage = () => { now = (Math.floor(now * hz / 1000 + 1e-6) + 1 + extra) * 1000 / hz; draw(now); };
    soon.port2.postMessage(null);
  };
})();
"""
#: Answers PACE ms after the screen of answers is there. `answer(item)`: a category, or null for no answer.
ANSWERS = """
(() => {
  const plan = JSON.parse(document.getElementById("plan").textContent);
  window.shown = [];
  const pen = CanvasRenderingContext2D.prototype, draw = pen.fillText;
  let word = null;
  pen.fillText = function (said, ...more) { if (said !== "+") word = said; return draw.call(this, said, ...more); };
  const decode = Image.prototype.decode;
  let picture = null;
  Image.prototype.decode = function () {
    if (plan.pictures.includes(this.src) || plan.practice.some(([address]) => address === this.src)) picture = this.src;
    window.noises = (window.noises ?? 0) + plan.noise.includes(this.src);
    return decode.call(this);
  };
  const answer = ANSWER;
  new MutationObserver(() => {
    window.width = document.querySelector("canvas")?.style.width ?? window.width;
    const buttons = document.querySelectorAll(".answers button");
    if (!buttons.length || buttons[0].seen) return;
    buttons[0].seen = true;
    const at = plan.pictures.indexOf(picture);
    const practised = plan.practice.find(([address]) => address === picture)?.[1];
    const item = word !== null ? {check: plan.categories[plan.text.categories.indexOf(word)]}
      : {image: at, name: at < 0 ? "" : plan.images[at][0], category: at < 0 ? practised : plan.images[at][2]};
    const said = answer(item);
    window.shown.push({...item, said});
    [word, picture] = [null, null];
    setTimeout(() => {
      if (said === null) return;
      window.pass?.(400);
      if (buttons[0].isConnected) [...buttons].find((button) => button.dataset.category === said).click();
    }, PACE);
  }).observe(document, {subtree: true, childList: true});
})();
"""
RIGHT = "(item) => item.check || item.category"


@pytest.fixture(scope="module")  # one at a time in a process
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


class Visitor:
    """A browser of one person: what stays in it, and what its pages complained of."""

    def __init__(self, browser, address, hz=60, slow="() => 0", answer=RIGHT, pace=0, files=None, **options):
        self.address, self.complaints, self.asked = address, [], []
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.context.set_default_timeout(180_000)  # of a machine that does four things at a time
        if hz:
            self.context.add_init_script(CLOCK.replace("HZ", str(hz)).replace("SLOW", slow))
        if files is not None:  # a host that does not exist has these
            self.context.route(
                f"{address.rpartition('/')[0]}/*",
                lambda route: route.fulfill(body=files[route.request.url.rpartition("/")[2]]),
            )
        self.answers = ANSWERS.replace("ANSWER", answer or "() => null").replace("PACE", str(pace))
        self.page = self.open()

    def open(self):
        page = self.context.new_page()
        page.on("console", lambda message: self.complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(self.address)
        page.evaluate(self.answers)
        return page

    def press(self, *names):
        for name in names:
            button = self.page.get_by_role("button", name=name, exact=True)
            button = button.and_(self.page.locator(":not([data-pressed])")).element_handle()
            # It stays until the next picture is decoded, and has no use for a second press.
            button.evaluate("(button) => { button.dataset.pressed = ''; }")
            button.click()

    def agree(self, *names):
        """The consent form, and the buttons after it."""
        self.page.get_by_role("checkbox").check()
        self.press("Begin", *names)

    def begin(self, number=None):
        """To the first trial that counts."""
        self.agree()
        if number is not None:
            self.page.get_by_label("Your number").fill(str(number))
            self.press("Go on")
        self.see()
        self.practise()

    def see(self):
        """The screen's size, and a distance that is stated."""
        self.press("Go on", "I cannot do this", "Go on")

    def practise(self):
        """From the instructions to the first trial that counts."""
        self.press("Go on")
        self.understand()
        self.press("Begin", *["Go on"] * 8, "Begin")

    def understand(self, answer="I choose what comes closest."):
        self.page.get_by_label(answer).check()
        self.press("Go on")

    def until(self, shown, page=None):
        """Wait for so many screens of answers since the page was loaded."""
        page = page or self.page  # not polled by frames: they are what the clock goes by
        page.wait_for_function("(shown) => window.shown.length >= shown", arg=shown, polling=50, timeout=60_000)

    def finish(self):
        """Through breaks to the end."""
        while True:
            heading = self.page.locator("h1")
            heading.wait_for(timeout=120_000)
            if heading.inner_text() == "Thank you!":
                return
            self.press("Go on")

    def saved(self, kind, folder):
        """The file of answers that the last page offers."""
        with self.page.expect_download() as started:
            self.page.locator(f"a[download$='.{kind}']").click()
        place = folder / started.value.suggested_filename
        started.value.save_as(place)
        return place

    def close(self):
        self.context.close()


def table(path, practice=False):
    """Rows of a table of answers; without practice, unless it is asked for."""
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if (row["status"] == "practice") == practice]

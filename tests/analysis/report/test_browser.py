"""The page in headless Chromium: drawn, quiet, readable, accessible."""

import shutil

import pytest

MEASURE = "document.documentElement.scrollWidth"
DRAWN = "html[data-drawn]"
MARKS = (".scatterlayer path.point", ".scatterlayer path.js-line", ".heatmaplayer image")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with playwright.sync_playwright() as run:
        browser = run.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, page_path):
    """Give a function that opens the page, and what it said and asked for meanwhile."""
    pages = []

    def open_at(width, scheme="light"):
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        pages.append(page)
        said = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url))
        page.goto(page_path.as_uri())
        page.wait_for_selector(DRAWN, timeout=60_000, state="attached")
        return page, [line for line in said if line != page_path.as_uri()]

    yield open_at
    for page in pages:
        page.close()


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (1400, "light"), (1400, "dark")])
def test_every_plot_is_drawn_in_silence(open_page, width, scheme):
    page, said = open_page(width, scheme)
    assert said == []
    canvases = page.query_selector_all("figure.plot .canvas")
    assert len(canvases) > 25
    for canvas in canvases:
        label = canvas.get_attribute("aria-label")
        assert canvas.query_selector(", ".join(MARKS)), label
        box = canvas.bounding_box()
        assert box["width"] > 150, label
        assert box["height"] > 100, label
    assert page.evaluate("window.hacked") is None
    assert page.is_hidden("#failure")


@pytest.mark.parametrize("width", [320, 400, 1400])
def test_nothing_is_wider_than_the_page(open_page, width):
    page, _ = open_page(width)
    assert page.evaluate(MEASURE) <= width
    for details in page.query_selector_all("details"):
        details.evaluate("node => node.open = true")
    assert page.evaluate(MEASURE) <= width


def hover(page, figure, mark):
    canvas = page.query_selector(f".canvas[aria-label^='{figure}']")
    canvas.scroll_into_view_if_needed()
    box = canvas.query_selector(mark).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 + 1, box["y"] + box["height"] / 2)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    canvas.wait_for_selector(".hoverlayer text", timeout=5000, state="attached")
    return canvas.query_selector(".hoverlayer").text_content()


def test_the_word_stands_under_the_pointer(open_page):
    page, _ = open_page(1400)
    text = hover(page, "y of", ".scatterlayer path.point")
    assert "[" in text
    assert "·" in text


@pytest.mark.parametrize(
    ("figure", "mark", "said"),
    [
        ("The score over", ".scatterlayer path.point", "score"),
        ("Confusion matrix", ".heatmaplayer image", " as "),
        ("Heat map of the KL", ".heatmaplayer image", "nats"),
        ("Reliability diagram", ".scatterlayer path.point", "right of"),
    ],
)
def test_other_plots_tell_their_values(open_page, figure, mark, said):
    page, _ = open_page(1400)
    assert said in hover(page, figure, mark)


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (1400, "dark")])
def test_accessibility(open_page, width, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python"
    )
    page, _ = open_page(width, scheme)
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_the_keyboard_reaches_content_tables_and_settings(open_page):
    page, _ = open_page(1400)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.focus("summary")
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('details').open")


def test_colours_follow_the_system(open_page):
    page, _ = open_page(1400)
    color = "getComputedStyle(document.querySelector('.xtick text')).fill"
    light = page.evaluate(color)
    page.emulate_media(color_scheme="dark")
    for _ in range(100):
        if page.evaluate(color) != light:
            break
        page.wait_for_timeout(100)
    assert page.evaluate(color) != light

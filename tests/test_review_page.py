"""The review page in a real browser: keys, mouse, reload, download, and what its file says when it comes back."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import SHIFT, Page, browser
from conftest import Shell
from reviews import fill, near, said, statuses

HOSTILE = '</script><img src=x onerror="document.title=1">'
IMAGES: dict[str, dict[str, Any]] = {
    "two": {"boxes": [("car", 0.9, [10, 20, 100, 60]), ("truck", 0.5, [300, 200, 50, 40])], "size": (640, 480)},
    "none": {"boxes": [], "size": (640, 480)},
    "unsized": {"boxes": [(HOSTILE, 0.7, [40, 40, 80, 80])], "size": None},
}


def picture(file: Path, width: int = 640, height: int = 480) -> None:
    """A grey PNG."""
    file.parent.mkdir(parents=True, exist_ok=True)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = (b"\0" + b"\x80" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    file.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


@pytest.fixture
def world(detmon: Shell) -> Shell:
    """Three items with their images; the clock is the machine's, like the browser's."""
    fill(detmon, IMAGES)
    for name in IMAGES:
        picture(detmon.folder / "images" / "cam1" / f"{name}.jpg")
    return detmon


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture
def page(world: Shell, tab: Page) -> Page:
    """The review page of the three items, opened."""
    world("review", "export", "--dataset", "review", "--format", "html", "--out", "r.html", "--image-root", "images")
    tab.open(f"file://{world.folder}/r.html")
    tab.downloads_to(world.folder)
    return tab


def go_to(page: Page, name: str) -> None:
    """Show an image; items stand in the order of their ids, which are random."""
    for _ in range(3):
        page.key("ArrowLeft")
    for _ in range(3):
        if f"/{name}.jpg" in page.text("#about"):
            return
        page.key("ArrowRight")
    raise AssertionError(name)


def test_a_whole_review(world: Shell, page: Page) -> None:
    page.run("document.getElementById('reviewer').focus()")
    page.type("ann")
    page.key("Enter")
    go_to(page, "two")
    page.key("2")
    page.type("bus")
    page.key("Enter")
    page.drag((310, 220), (310, 220))  # the truck is chosen
    page.drag((310, 220), (330, 260))  # and moved
    page.key("5")
    page.drag((400, 300), (460, 420))
    page.type("person")
    page.key("Enter")
    assert page.text("#finishing") == "Done, next"
    page.key("Enter")
    go_to(page, "none")
    page.key("Enter")
    assert page.text("#count") == "2 of 3 reviewed"
    go_to(page, "unsized")
    assert page.run("document.getElementById('stage').getAttribute('viewBox')") == "0 0 640 480"
    page.key("4", "Enter")
    assert "All images are reviewed" in page.text("#status")
    page.key("s")
    file = page.downloaded(world.folder, "r.jsonl")
    assert page.complaints() == []
    expected = [
        ("none", None, "correct", None, None, "exhaustive"),
        ("two", 0, "wrong_label", "bus", None, "exhaustive"),
        ("two", 1, "wrong_box", None, [320, 240, 50, 40], "exhaustive"),
        ("two", None, "missed_object", "person", [400, 300, 60, 120], "exhaustive"),
        ("unsized", 0, "false_positive", None, None, "exhaustive"),
    ]
    assert {json.loads(row)["reviewer"] for row in file.splitlines()} == {"ann"}
    done = world("feedback", "import", "r.jsonl", "--json")
    assert (done.json["accepted"], done.json["rejected"], done.json["warnings"]) == (5, 0, [])
    assert [(*row[:4], near(row[4]), row[5]) for row in said(world)] == expected
    assert set(statuses(world).values()) == {"reviewed"}


def test_the_file_comes_back_as_a_review_too(world: Shell, page: Page) -> None:
    go_to(page, "two")
    page.key("5")
    page.drag((400, 300), (460, 420))
    page.key("Enter", "Enter", "s")
    page.downloaded(world.folder, "r.jsonl")
    assert world("review", "import", "r.jsonl", "--json").json["format"] == "html"
    (world.folder / "r.jsonl").unlink()
    go_to(page, "two")
    page.key("ArrowDown", "ArrowDown", "ArrowDown", "Delete", "Enter", "s")
    page.downloaded(world.folder, "r.jsonl")
    world("review", "import", "r.jsonl")
    assert [row[1:3] for row in said(world, "two")] == [(0, "correct"), (1, "correct")]


def test_progress_survives_a_reload_and_a_new_page(world: Shell, page: Page) -> None:
    go_to(page, "two")
    page.key("1", "3")
    page.open(f"file://{world.folder}/r.html")
    assert "/two.jpg" in page.text("#about")
    assert page.text("#boxes").count("correct") == 1
    assert "wrong box, no true box yet" in page.text("#boxes")
    world("review", "export", "--dataset", "review", "--format", "html", "--out", "r.html", "--image-root", "images")
    page.open(f"file://{world.folder}/r.html")
    assert page.text("#boxes").count("correct") == 1


def test_undo(world: Shell, page: Page) -> None:
    go_to(page, "two")
    page.key("1", "4")
    page.key("z")
    assert "nothing there" not in page.text("#boxes")
    assert page.text("#boxes").count("correct") == 1
    page.key("z")
    assert "correct" not in page.text("#boxes")
    page.key("z")
    assert page.text("#status") == "Nothing to undo"


def test_a_box_is_put_right_by_its_corner_and_by_keys(world: Shell, page: Page) -> None:
    go_to(page, "two")
    page.drag((110, 80), (130, 100))
    page.key("ArrowRight", modifiers=SHIFT)
    page.key("Enter", "s")
    rows = [json.loads(row) for row in page.downloaded(world.folder, "r.jsonl").splitlines()]
    assert rows[0]["feedback_type"] == "wrong_box"
    assert near(rows[0]["bbox"]) == [13, 20, 120, 80]


def test_what_is_begun_is_not_in_the_file(world: Shell, page: Page) -> None:
    go_to(page, "none")
    page.key("Enter")
    go_to(page, "two")
    page.key("1")
    page.key("s")
    assert len(page.downloaded(world.folder, "r.jsonl").splitlines()) == 1
    assert "1 images are begun" in page.text("#status")


def test_labels_and_ids_stay_text(world: Shell, page: Page) -> None:
    go_to(page, "unsized")
    assert page.text("#boxes .name").startswith(HOSTILE)
    assert page.run("document.title") == "Review: review"
    assert page.run("document.querySelectorAll('img').length") == 0
    assert page.run("document.querySelectorAll('script').length") == 2
    assert HOSTILE not in (world.folder / "r.html").read_text("utf-8")
    assert page.complaints() == []


def test_the_policy_stops_what_is_not_ours(page: Page) -> None:
    page.run(
        "(() => { const s = document.createElement('script'); s.textContent = 'document.title = \"run\"';"
        " document.body.append(s); })()"
    )
    assert page.run("document.title") == "Review: review"
    fetched = page.run("fetch('data:text/plain,x').then(() => 'fetched', () => 'refused')")
    assert fetched == "refused"


def test_every_control_has_a_name(page: Page) -> None:
    script = """[...document.querySelectorAll('button, input, progress, svg[role], summary')]
      .filter((one) => !(one.ariaLabel || one.getAttribute('aria-label') || one.textContent.trim()
        || (one.labels && one.labels.length))).map((one) => one.outerHTML)"""
    assert page.run(script) == []


def test_nothing_is_fetched_but_the_images(world: Shell, page: Page) -> None:
    asked = {
        event["params"]["request"]["url"].rpartition("/")[2]
        for event in page.events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert asked <= {"r.html", "two.jpg", "none.jpg", "unsized.jpg"}


def test_an_image_that_is_missing_is_named(world: Shell, page: Page) -> None:
    (world.folder / "images" / "cam1" / "two.jpg").unlink()
    page.open(f"file://{world.folder}/r.html")
    go_to(page, "two")
    page.run("new Promise((done) => setTimeout(done, 100))")
    assert "cannot be opened" in page.text("#broken")


def test_images_within_the_page(world: Shell, tab: Page) -> None:
    base = ("review", "export", "--dataset", "review", "--out", "whole.html", "--image-root", "images", "--embed")
    world(*base, "--format", "html")
    for name in IMAGES:
        (world.folder / "images" / "cam1" / f"{name}.jpg").unlink()
    tab.open(f"file://{world.folder}/whole.html")
    go_to(tab, "unsized")
    assert tab.run("document.querySelector('#stage image').getAttribute('href')").startswith("data:image/")
    assert tab.run("document.getElementById('broken').hidden")
    assert "--embed is for" in world(*base, "--format", "csv", code=2).err


def test_a_page_without_items(world: Shell, tab: Page) -> None:
    world("dataset", "create", "empty")
    world("review", "export", "--dataset", "empty", "--format", "html", "--out", "empty.html")
    tab.open(f"file://{world.folder}/empty.html")
    assert tab.text("#broken") == "There is nothing to review."


def test_it_is_told_which_images_no_browser_finds(world: Shell) -> None:
    done = world("review", "export", "--dataset", "review", "--format", "html", "--out", "r.html")
    assert "3 images are not found by a browser" in done.err

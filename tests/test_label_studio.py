"""`review push` and `pull`: against the recorded server, and the same against a real one.

The real one: `LABEL_STUDIO_URL` and `LABEL_STUDIO_API_KEY` (a legacy or a personal access token) in the environment.
"""

from __future__ import annotations

import copy
import json
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from conftest import Shell
from label_studio_server import LEGACY, PERSONAL, RECORDED, LabelStudio, serving
from reviews import exported, fill, said, statuses

from detmon.store import Store

LIVE = {name: os.environ.get(name) for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY")}
SIZE = (640, 480)


def images(count: int) -> dict[str, dict[str, Any]]:
    """Images with no box up to three, well apart."""
    rng = random.Random(7)
    labels = ("car", "truck", "person")
    found = {}
    for n in range(count):
        boxes = [
            (rng.choice(labels), round(rng.uniform(0.2, 0.95), 3), [20 + 200 * k, 40 + rng.randrange(200), 80, 60])
            for k in range(n % 4)
        ]
        found[f"p{n}"] = {"boxes": boxes, "size": SIZE}
    return found


@pytest.fixture
def server(detmon: Shell) -> Iterator[LabelStudio]:
    """The recorded server, as the environment's."""
    with serving() as found:
        detmon.monkeypatch.setenv("LABEL_STUDIO_URL", found.url)
        detmon.monkeypatch.setenv("LABEL_STUDIO_API_KEY", LEGACY)
        yield found


class Tool:
    """What people do in the tool, by its API."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        self.key = key

    def ask(self, method: str, path: str, said: Any = None) -> Any:
        if self.key.count(".") == 2:
            access = requests.post(f"{self.url}/api/token/refresh/", json={"refresh": self.key}, timeout=60).json()
            authorization = f"Bearer {access['access']}"
        else:
            authorization = f"Token {self.key}"
        headers = {"Authorization": authorization}
        done = requests.request(method, self.url + path, json=said, headers=headers, timeout=60)
        assert done.ok, (done.status_code, done.text)
        return done.json() if done.text else None

    def tasks(self, project: int) -> dict[str, Any]:
        """Prediction → task."""
        found = self.ask("GET", f"/api/tasks?project={project}&fields=all&page_size=500&page=1")["tasks"]
        tasks = {task["data"]["detmon"]["prediction_id"]: task for task in found}
        assert len(tasks) == len(found), "a task is there twice"
        return tasks

    def annotate(self, task: Any, result: list[Any], *, skip: bool = False) -> None:
        said = {"result": result, "was_cancelled": skip}
        self.ask("POST", f"/api/tasks/{task['id']}/annotations/", said)


@pytest.fixture(params=["recorded", "live"])
def tool(request: pytest.FixtureRequest, detmon: Shell) -> Iterator[Tool]:
    """The recorded server, and the real one where there is one."""
    if request.param == "recorded":
        server = request.getfixturevalue("server")
        yield Tool(server.url, LEGACY)
        return
    url, key = LIVE.values()
    if not url or not key:
        pytest.skip("LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY name no server")
    detmon.monkeypatch.setenv("LABEL_STUDIO_URL", url)
    detmon.monkeypatch.setenv("LABEL_STUDIO_API_KEY", key)
    yield Tool(url, key)


def corrected(tool: Tool, project: int) -> list[dict[str, Any]]:
    """Correct all tasks as people do; returns the same by hand, as arguments of `feedback add`."""
    by_hand: list[dict[str, Any]] = []

    def say(prediction: str, type: str, **more: Any) -> None:
        by_hand.append({"prediction": prediction, "type": type, **more})

    for number, (prediction, task) in enumerate(sorted(tool.tasks(project).items())):
        regions = copy.deepcopy(task["predictions"][0]["result"]) if task["predictions"] else []
        deed = ("keep", "move", "relabel", "delete", "add", "skip", "empty")[number % 7]
        if deed == "skip":
            tool.annotate(task, [], skip=True)
            continue
        kept: list[Any] = []
        for place, region in enumerate(regions):
            value = region["value"]
            first = place == 0
            if deed == "empty" or (first and deed == "delete"):
                say(prediction, "false_positive", detection=place)
                continue
            if first and deed == "move":
                value["x"] += 5
                box = [value["x"] * 6.4, value["y"] * 4.8, value["width"] * 6.4, value["height"] * 4.8]
                say(prediction, "wrong_box", detection=place, bbox=",".join(f"{side:.2f}" for side in box))
            elif first and deed == "relabel":
                value["rectanglelabels"] = ["bicycle"]
                say(prediction, "wrong_label", detection=place, label="bicycle")
            else:
                say(prediction, "correct", detection=place)
            kept.append(region)
        if deed == "add":
            value = {"x": 75, "y": 75, "width": 12.5, "height": 12.5, "rotation": 0, "rectanglelabels": ["person"]}
            about = {"id": "drawn", "type": "rectanglelabels", "from_name": "label", "to_name": "image"}
            frame = {"original_width": 640, "original_height": 480, "image_rotation": 0}
            kept.append({**about, **frame, "value": value})
            say(prediction, "missed_object", label="person", bbox="480,360,80,60")
        if not regions and deed != "add":
            say(prediction, "correct")
        tool.annotate(task, kept)
    return by_hand


def rounded(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Boxes to a tenth of a pixel."""
    return [(*row[:4], row[4] and [round(side, 1) for side in row[4]], row[5]) for row in rows]


def test_out_corrected_and_back(detmon: Shell, tool: Tool, request: pytest.FixtureRequest) -> None:
    """What comes back is what `feedback add` says of the same corrections."""
    count = 100 if "live" in request.node.name else 21
    fill(detmon, images(count))
    title = f"detmon {uuid4().hex[:8]}"
    pushed = detmon("review", "push", "--dataset", "review", "--project", title, "--json").json
    assert (pushed["pushed"], pushed["present"], pushed["created"]) == (count, 0, True)
    again = detmon("review", "push", "--dataset", "review", "--project", title, "--json").json
    assert (again["pushed"], again["present"], again["created"]) == (0, count, False)
    by_hand = corrected(tool, pushed["project"])
    pulled = detmon("review", "pull", "--project", title, "--json").json
    skipped = len([n for n in range(count) if n % 7 == 5])
    assert (pulled["items"], pulled["skipped"], pulled["rejected"]) == (count - skipped, skipped, 0)
    assert sorted(statuses(detmon).values()) == ["needs_review"] * skipped + ["reviewed"] * (count - skipped)
    once_more = detmon("review", "pull", "--project", str(pushed["project"]), "--json").json
    assert (once_more["accepted"], once_more["duplicates"]) == (0, pulled["accepted"])
    left = detmon("review", "push", "--dataset", "review", "--project", title)
    assert "0 tasks sent" in left.out
    found = rounded(said(detmon))
    detmon.monkeypatch.setenv("DETMON_DB", "by-hand.duckdb")
    fill(detmon, images(count))
    for one in by_hand:
        options = [part for key, value in one.items() if key != "prediction" for part in (f"--{key}", value)]
        detmon("feedback", "add", one["prediction"], *options, "--scope", "exhaustive")
    assert found == rounded(said(detmon))


def test_a_deleted_task_is_sent_again(detmon: Shell, tool: Tool) -> None:
    fill(detmon, images(3))
    title = f"detmon {uuid4().hex[:8]}"
    project = detmon("review", "push", "--dataset", "review", "--project", title, "--json").json["project"]
    task = tool.tasks(project)["p1"]
    tool.ask("DELETE", f"/api/tasks/{task['id']}/")
    assert detmon("review", "push", "--dataset", "review", "--project", title, "--json").json["pushed"] == 1
    assert len(tool.tasks(project)) == 3


def test_a_killed_push_goes_on_where_it_was(detmon: Shell, tool: Tool) -> None:
    fill(detmon, images(300))
    title = f"detmon {uuid4().hex[:8]}"
    push = ("review", "push", "--dataset", "review", "--project", title, "--json")
    killed = detmon.process(*push, env={"DETMON_FAILPOINT": "review.pushed"})
    assert killed.returncode == -9
    done = detmon(*push).json
    assert (done["pushed"], done["present"]) == (50, 250)
    assert len(tool.tasks(done["project"])) == 300


def test_a_missing_label_is_refused_before_anything_is_sent(detmon: Shell, tool: Tool) -> None:
    fill(detmon, images(4))
    boxes = '<RectangleLabels name="l" toName="i"><Label value="car"/></RectangleLabels>'
    config = f'<View><Image name="i" value="$image"/>{boxes}</View>'
    made = tool.ask("POST", "/api/projects/", {"title": f"detmon {uuid4().hex[:8]}", "label_config": config})
    done = detmon("review", "push", "--dataset", "review", "--project", made["id"], code=2)
    assert "lacks the labels person" in done.err
    assert '<Label value="person"/>' in done.err
    assert tool.tasks(made["id"]) == {}


def test_tasks_speak_the_projects_language(detmon: Shell, tool: Tool) -> None:
    fill(detmon, images(4))
    labels = "".join(f'<Label value="{label}"/>' for label in ("car", "truck", "person"))
    boxes = f'<RectangleLabels name="box" toName="photo">{labels}</RectangleLabels>'
    config = f'<View>{boxes}<Image name="photo" value="$url"/></View>'
    made = tool.ask("POST", "/api/projects/", {"title": f"detmon {uuid4().hex[:8]}", "label_config": config})
    detmon("review", "push", "--dataset", "review", "--project", made["id"])
    task = tool.tasks(made["id"])["p3"]
    assert task["data"]["url"] == "cam1/p3.jpg"
    (first, *_) = task["predictions"][0]["result"]
    assert (first["from_name"], first["to_name"]) == ("box", "photo")


def test_the_real_server_answers_as_recorded(detmon: Shell) -> None:
    url, key = LIVE.values()
    if not url or not key:
        pytest.skip("LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY name no server")
    tool = Tool(url, key)
    config = RECORDED["create"]["body"]["label_config"]
    made = tool.ask("POST", "/api/projects/", {"title": f"detmon {uuid4().hex[:8]}", "label_config": config})
    assert RECORDED["create"]["body"].keys() <= made.keys()
    fill(detmon, {"one": {"boxes": [("car", 0.5, [10, 20, 100, 60])], "size": SIZE}})
    task = json.loads(exported(detmon, "label-studio"))
    done = tool.ask("POST", f"/api/projects/{made['id']}/import?return_task_ids=true", task)
    assert RECORDED["import"]["body"].keys() <= done.keys()
    listed = tool.ask("GET", f"/api/tasks?project={made['id']}&fields=all&page_size=500&page=1")
    assert RECORDED["tasks"]["body"].keys() <= listed.keys()
    assert RECORDED["tasks"]["body"]["tasks"][0].keys() <= listed["tasks"][0].keys()
    annotation = tool.ask("POST", f"/api/tasks/{done['task_ids'][0]}/annotations/", {"result": []})
    assert RECORDED["annotate"]["body"].keys() <= annotation.keys()
    export = tool.ask("GET", f"/api/projects/{made['id']}/export?exportType=JSON")
    assert RECORDED["export"]["body"][0].keys() <= export[0].keys()
    recorded_annotation = RECORDED["export"]["body"][0]["annotations"][0]
    assert recorded_annotation.keys() - {"prediction"} <= export[0]["annotations"][0].keys()


# --- tokens and errors ---


def test_a_personal_access_token_that_runs_out_on_the_way(detmon: Shell, server: LabelStudio) -> None:
    fill(detmon, images(300))
    (detmon.folder / "token").write_text(PERSONAL + "\n")
    detmon.monkeypatch.delenv("LABEL_STUDIO_API_KEY")
    detmon.monkeypatch.setenv("LABEL_STUDIO_API_KEY_FILE", str(detmon.folder / "token"))
    server.lives = 2
    done = detmon("review", "push", "--dataset", "review", "--project", "x", "--json")
    assert done.json["pushed"] == 300
    assert server.asked.count("POST /api/token/refresh/") > 1
    assert len(server.tasks) == 300
    detmon("review", "pull", "--project", "x")


@pytest.mark.parametrize("key", ["nonsense", "not.a.token"])
def test_a_wrong_token(detmon: Shell, server: LabelStudio, key: str) -> None:
    fill(detmon, images(1))
    detmon.monkeypatch.setenv("LABEL_STUDIO_API_KEY", key)
    done = detmon("review", "pull", "--project", "x", code=4)
    assert "token refused" in done.err
    assert "personal access token" in done.err
    assert key not in done.err


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((400, RECORDED["bad_import"]["body"]), '"image" key is expected in task data'),
        ((403, {"detail": "You do not have permission"}), "403: You do not have permission"),
        ((404, RECORDED["missing"]["body"]), "404: No Project matches"),
        ((500, {"detail": f"failed for {LEGACY}"}), "500: failed for ***"),
        ((500, "<html>oops</html>"), "the server answered 500"),
        ((200, "<html>a proxy</html>"), "something that is no JSON"),
        ((302, {"Location": "https://labels.example.com/user/login?token=1"}), "leads to https://labels.example.com\n"),
    ],
)
def test_errors_in_plain_words(detmon: Shell, server: LabelStudio, answer: tuple[int, Any], text: str) -> None:
    fill(detmon, images(1))
    server.answers.append(copy.deepcopy(answer))
    done = detmon("review", "push", "--dataset", "review", "--project", "x", code=4)
    assert text in done.err
    assert LEGACY not in done.err + done.out
    assert server.tasks == {}


def test_a_busy_server_is_asked_again(detmon: Shell, server: LabelStudio) -> None:
    fill(detmon, images(1))
    server.answers.extend([(503, {}), (502, {})])
    assert detmon("review", "push", "--dataset", "review", "--project", "x", "--json").json["pushed"] == 1


def test_sending_is_not_repeated(detmon: Shell, server: LabelStudio) -> None:
    fill(detmon, images(1))
    detmon("review", "push", "--dataset", "review", "--project", "x", "--status", "reviewed")
    server.asked.clear()
    listed, tasks = server.listed(), server.page_of_tasks(1, 1, 500)
    server.answers.extend([listed, tasks, (503, {"detail": "busy"})])
    assert "busy" in detmon("review", "push", "--dataset", "review", "--project", "x", code=4).err
    assert server.asked.count("POST /api/projects/1/import") == 1


def test_a_server_that_does_not_answer(detmon: Shell, server: LabelStudio) -> None:
    from detmon.review import server as module

    fill(detmon, images(1))
    detmon.monkeypatch.setattr(module, "SILENT_SECONDS", 0.2)
    detmon.monkeypatch.setattr(module, "AGAIN", 0)
    server.hold = threading.Event()
    try:
        done = detmon("review", "pull", "--project", "x", code=4)
    finally:
        server.hold.set()
    assert "does not answer" in done.err or "cannot be reached" in done.err


@pytest.mark.parametrize(
    ("env", "options", "text"),
    [
        ({"LABEL_STUDIO_API_KEY": ""}, (), "no token for"),
        ({"LABEL_STUDIO_URL": ""}, (), "no server is named"),
        ({}, ("--url", "labels"), "is no address"),
        ({"LABEL_STUDIO_API_KEY": "two words"}, (), "is no token"),
        ({}, ("--project", "another"), "has no project 'another'"),
    ],
)
def test_wrong_calls(
    detmon: Shell, server: LabelStudio, env: dict[str, str], options: tuple[str, ...], text: str
) -> None:
    fill(detmon, images(1))
    for name, value in env.items():
        detmon.monkeypatch.setenv(name, value)
    assert text in detmon("review", "pull", "--project", "x", *options, code=2).err


def test_a_title_that_several_projects_have(detmon: Shell, server: LabelStudio) -> None:
    fill(detmon, images(1))
    for _ in range(2):
        server.create({"title": "x", "label_config": "<View/>"})
    assert "give one's number: 1, 2" in detmon("review", "pull", "--project", "x", code=2).err


def test_a_project_without_boxes(detmon: Shell, server: LabelStudio) -> None:
    fill(detmon, images(1))
    server.create({"title": "x", "label_config": '<View><Choices name="a" toName="b"/></View>'})
    assert "no RectangleLabels" in detmon("review", "push", "--dataset", "review", "--project", "x", code=2).err


def test_the_store_is_free_while_the_network_is_used(detmon: Shell, server: LabelStudio, tmp_path: Path) -> None:
    fill(detmon, images(2))
    free = []
    answer = server.answer

    def asked(*what: Any) -> Any:
        with Store(detmon.folder / "detmon.duckdb", 0.1).writing():
            free.append(what[1])
        return answer(*what)

    detmon.monkeypatch.setattr(server, "answer", asked)
    done = detmon.process("review", "push", "--dataset", "review", "--project", "x")
    assert done.returncode == 0
    assert len(free) >= 3

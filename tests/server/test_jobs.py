"""Jobs beside the server: what they make is seen, they are cancelled in mid-work and go on, and they fail in words."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from unweave.base import progress
from unweave.errors import ArtifactInUse
from unweave.project import Project
from unweave.server import jobs as jobs_module
from unweave.server.app import make_app
from unweave.server.held import HeldProject
from unweave.server.jobs import Jobs, jobs_of
from unweave.server.shapes import BeginJob, Job
from unweave.server.work import KINDS, Kind, command_of


@pytest.fixture
def project(tiny_project_folder, tmp_path) -> Project:
    shutil.copytree(tiny_project_folder, tmp_path / "p")
    return Project.open(tmp_path / "p")


@pytest.fixture
def client(project) -> TestClient:
    app = make_app()
    app.state.held = HeldProject(project)
    return TestClient(app)


def ended(jobs: Jobs, job: Job) -> Job:
    """A job when it has ended."""
    for _ in range(1200):
        found = jobs.job(job.id)
        if found.ended is not None:
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def work(monkeypatch, does: Callable[[Project, BeginJob], list[str]], kind: str = "judge") -> None:
    """Have a kind of job do something else."""
    monkeypatch.setattr(jobs_module, "KINDS", {**KINDS, kind: Kind(kind, does, ())})


def test_what_a_job_makes_is_seen_by_the_held_project(client, project):
    shutil.rmtree(project.path / "evaluation")
    assert client.get("/api/evaluation").status_code == 409
    answer = client.post("/api/jobs", json={"kind": "evaluate"})
    assert (answer.status_code, answer.json()["state"]) == (201, "running")
    found = ended(jobs_of(project), Job(**answer.json()))
    assert (found.state, found.error) == ("done", None)
    assert found.lines[-1].endswith("systems on 6 queries")
    assert found.result == found.lines[-1:]
    assert all(step.done == step.total for step in found.steps)
    assert {step.label for step in found.steps} >= {"searching with dense", "finding useful concepts"}
    assert client.get("/api/evaluation").json()["n_queries"] == 6
    shown = client.get("/api/jobs").json()
    assert [job["id"] for job in shown["jobs"]] == [found.id]
    assert client.get(f"/api/jobs/{found.id}").json() == shown["jobs"][0]


def test_a_job_cancelled_in_mid_work_goes_on_where_it_was(project, monkeypatch):
    # Half of the steps are done, and kept, when it is cancelled; begun again, it does the other half.
    kept, half = [], threading.Event()

    def does(_: Project, asked: BeginJob) -> list[str]:
        with progress.steps("counting", total=10, unit="numbers", done=len(kept)) as advance:
            for number in range(len(kept), 10):
                kept.append(number)
                if number == 4 and not half.is_set():
                    half.set()
                    cancelled.wait(10)
                advance(1)
        return ["counted"]

    work(monkeypatch, does)
    jobs, cancelled = jobs_of(project), threading.Event()
    job = jobs.begin(BeginJob(kind="judge"))
    assert half.wait(10)
    assert jobs.cancel(job.id).state == "cancelling"
    cancelled.set()
    first = ended(jobs, job)
    assert (first.state, first.steps[0].done, kept) == ("cancelled", 5, [0, 1, 2, 3, 4])
    assert jobs.cancel(job.id).state == "cancelled"
    second = ended(jobs, jobs.begin(BeginJob(kind="judge")))
    assert (second.state, second.steps[0].done, second.lines) == ("done", 10, ["counted"])
    assert kept == list(range(10))


def test_training_that_is_cancelled_leaves_what_was_there_and_finishes_when_begun_again(project):
    jobs = jobs_of(project)
    project.keep("fit", steps=4000)
    before = project.manifest("sae").fingerprint
    job = jobs.begin(BeginJob(kind="fit"))
    while not any(step.label == "training" and step.done > 5 for step in jobs.job(job.id).steps):
        assert jobs.job(job.id).ended is None
        time.sleep(0.02)
    jobs.cancel(job.id)
    assert ended(jobs, job).state == "cancelled"
    assert project.manifest("sae").fingerprint == before
    project.keep("fit", steps=20, k=3)
    found = ended(jobs, jobs.begin(BeginJob(kind="fit")))
    assert (found.state, found.error) == ("done", None)
    assert project.manifest("sae").fingerprint != before
    assert project.sae.config.k == 3


def test_one_job_runs_at_a_time(client, project, monkeypatch):
    going_on = threading.Event()
    work(monkeypatch, lambda *_: [str(going_on.wait(10))])
    job = Job(**client.post("/api/jobs", json={"kind": "judge"}).json())
    answer = client.post("/api/jobs", json={"kind": "index"})
    assert answer.status_code == 409
    assert answer.json()["error"] == "the job 'judge' is running; wait for it to end, or cancel it"
    going_on.set()
    ended(jobs_of(project), job)
    assert client.post("/api/jobs", json={"kind": "judge"}).status_code == 201


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ArtifactInUse("unweave name (process 7) is writing p; wait for it to end, or stop it"), "unweave name (proc"),
        (OSError(28, "No space left on device", "/p/x.npy"), "No space left on device (/p/x.npy)"),
        (MemoryError("of 8 GB"), "not enough memory: of 8 GB"),
        (ModuleNotFoundError("no", name="sklearn.manifold"), "this needs sklearn, which is not installed"),
        (KeyError("secret"), "something went wrong here (KeyError); the terminal that serves says what"),
    ],
)
def test_a_job_that_fails_says_why_in_a_sentence(project, monkeypatch, caplog, error, said):
    def fails(*_: object) -> list[str]:
        raise error

    work(monkeypatch, fails)
    found = ended(jobs_of(project), jobs_of(project).begin(BeginJob(kind="judge")))
    assert found.state == "failed"
    assert found.error.startswith(said)
    assert ("the job judge failed" in caplog.text) == isinstance(error, KeyError)


def test_lines_steps_and_jobs_are_forgotten_when_there_are_too_many(project, monkeypatch):
    def says(*_: object) -> list[str]:
        for number in range(130):
            with progress.steps(f"step {number}", total=1, unit="x") as advance:
                advance(1)
        return [f"line\x1b[31m {number}" for number in range(130)]

    work(monkeypatch, says)
    jobs = jobs_of(project)
    found = [ended(jobs, jobs.begin(BeginJob(kind="judge"))) for _ in range(jobs_module.KEPT + 2)]
    assert (found[-1].lines[0], len(found[-1].lines)) == ("line[31m 30", 100)
    assert (found[-1].steps[0].label, len(found[-1].steps)) == ("step 30", 100)
    assert [job.id for job in jobs.all()] == [job.id for job in reversed(found[2:])]


@pytest.mark.parametrize(
    ("path", "asked", "command"),
    [
        ("mine", BeginJob(kind="name", namer="lexicon", most=300), "unweave name mine --namer lexicon --most 300"),
        ("my project", BeginJob(kind="index"), "unweave index build 'my project'"),
        ("-mine", BeginJob(kind="name", most=3), "unweave name --most 3 -- -mine"),
        ("mine", BeginJob(kind="map"), "unweave map mine"),
    ],
)
def test_the_command_that_goes_on_with_a_job(project, path, asked, command):
    project.path = type(project.path)(path)
    assert command_of(project, asked) == command


def test_only_jobs_whose_parts_are_there_can_be_begun(client, project):
    every = client.get("/api/jobs").json()["kinds"]
    assert every == list(KINDS)
    shutil.rmtree(project.path / "concepts")
    shutil.rmtree(project.path / "codes")
    assert [kind for kind in every if kind not in client.get("/api/jobs").json()["kinds"]] == ["judge", "evaluate"]
    assert client.get("/api/jobs").json()["spent"] is None


def test_what_is_no_job_is_refused(client):
    assert client.post("/api/jobs", json={"kind": "delete"}).status_code == 422
    assert client.post("/api/jobs", json={"kind": "name", "namer": "/bin/sh"}).status_code == 422
    answer = client.post("/api/jobs", json={"kind": "fit", "namer": "lexicon"})
    assert answer.status_code == 400 and "given to a job that names" in answer.json()["error"]
    assert client.get("/api/jobs/0123abcd").status_code == 404
    assert client.delete("/api/jobs/0123abcd").status_code == 404


def test_a_server_that_only_shows_begins_no_job(project):
    app = make_app()
    app.state.held = HeldProject(project, read_only=True)
    client = TestClient(app)
    assert client.post("/api/jobs", json={"kind": "evaluate"}).status_code == 403
    assert client.get("/api/jobs/forecast").status_code == 403
    assert client.get("/api/jobs").json()["jobs"] == []


def test_a_forecast_says_what_naming_would_cost_and_what_was_spent_is_told(client, project):
    project.keep("language_model", input_price=1000.0, cap=2.5)
    said = client.get("/api/jobs/forecast", params={"most": 3}).json()["said"]
    assert said[0] == "concepts 3"
    assert any(line.endswith("2.5000 left of the cap") for line in said)
    assert client.get("/api/jobs").json()["spent"] == {
        "requests": 0, "input_tokens": 0, "output_tokens": 0, "cost": 0.0, "most": 2.5,
    }  # fmt: skip


def test_forecasts_asked_for_at_once_take_turns(client, project):
    # The first gathers evidence, which is written; what a person types meanwhile asks again and again.
    project.keep("evidence", examples=7)  # what is there is no longer enough
    with ThreadPoolExecutor(4) as people:
        answers = list(people.map(lambda most: client.get("/api/jobs/forecast", params={"most": most}), range(1, 5)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert [answer.json()["said"][0] for answer in answers] == [f"concepts {most}" for most in range(1, 5)]


def test_settings_that_another_process_changes_are_seen_at_once(client, project):
    Project.open(project.path).keep("language_model", cap=7.5)
    assert client.get("/api/jobs").json()["spent"]["most"] == 7.5
    (project.path / "unweave.toml").write_text("[language_model]\ncap = many\n")
    answer = client.get("/api/jobs")
    assert answer.status_code == 400 and "unweave.toml" in answer.json()["error"]


def test_what_came_of_a_job_is_told_apart_from_what_was_said_meanwhile(project, monkeypatch):
    def says(*_: object) -> list[str]:
        progress.say("halfway")
        return ["two claims", "of \x1b[31mone kind"]

    work(monkeypatch, says)
    jobs = jobs_of(project)
    found = ended(jobs, jobs.begin(BeginJob(kind="judge")))
    assert (found.lines, found.result) == (
        ["halfway", "two claims", "of [31mone kind"],
        ["two claims", "of [31mone kind"],
    )

    def fails(*_: object) -> list[str]:
        progress.say("halfway")
        raise ArtifactInUse("in use")

    work(monkeypatch, fails)
    found = ended(jobs, jobs.begin(BeginJob(kind="judge")))
    assert (found.state, found.result) == ("failed", [])


def test_stopping_cancels_what_runs(project, monkeypatch):
    def goes_on(*_: object) -> list[str]:
        with progress.steps("waiting", total=1000, unit="ticks") as advance:
            while True:
                time.sleep(0.01)
                advance(1)

    work(monkeypatch, goes_on)
    jobs = jobs_of(project)
    job = jobs.begin(BeginJob(kind="judge"))
    jobs.stop(10)
    assert jobs.job(job.id).state == "cancelled"

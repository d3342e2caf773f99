"""`unweave doctor` without a project: what is installed, what the machine has, and what to do about the rest."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

import unweave
from unweave.base import packaged
from unweave.cli import main
from unweave.installation import kept, machine, packages
from unweave.installation.whole import installation

SRC = Path(unweave.__file__).parents[1]
REQUIRES = [
    "click>=8.1", "numpy>=1.26; python_version >= '3'", "colorama; sys_platform == 'never'",
    'torch>=2.6; extra == "fit"', 'httpx2>=2; extra == "llm"', 'unweave[llm]; extra == "local-model"',
    'llama>=1; extra == "local-model"', 'unweave[fit,llm]; extra == "all"',
]  # fmt: skip


@pytest.fixture
def made_up(monkeypatch):
    """Metadata that can be read by eye, and the versions that are there."""
    versions = {"unweave": "0.1", "click": "8.0", "numpy": "2.0", "torch": "2.7.0+cpu"}

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "requires", lambda name: REQUIRES if name == "unweave" else [])
    monkeypatch.setattr(metadata, "version", version)
    packages._requirements.cache_clear()
    yield versions
    packages._requirements.cache_clear()


# --- packages -------------------------------------------------------------------------------------


def test_the_core_is_what_needs_no_extra_on_this_platform(made_up):
    core = packages.read_extra(packages.CORE)
    assert [(one.name, one.wanted, one.installed, one.fits) for one in core.packages] == [
        ("click", ">=8.1", "8.0", False), ("numpy", ">=1.26", "2.0", True),
    ]  # fmt: skip
    assert not core.fits


def test_an_extra_is_its_own_packages_and_those_of_the_extras_that_it_names(made_up):
    assert [one.name for one in packages.read_extra("local-model").packages] == ["httpx2", "llama"]
    assert [(one.name, one.fits) for one in packages.read_extra("all").packages] == [("httpx2", False), ("torch", True)]


def test_a_build_of_torch_fits_as_its_version_does(made_up):
    assert packages.read_extra("fit").fits
    made_up["torch"] = "2.5.1+cu124"
    assert not packages.read_extra("fit").fits


def test_the_extras_are_those_of_the_metadata():
    assert {one.name for one in packages.extras()} == set(metadata.metadata("unweave").get_all("Provides-Extra"))
    core = {one.name for one in packages.read_extra(packages.CORE).packages}
    assert core == {
        one.name for one in map(Requirement, metadata.requires("unweave")) if "extra" not in str(one.marker)
    }


@pytest.mark.parametrize(
    ("came_from", "expected"),
    [
        (None, "'unweave[fit]'"),
        ('{"url": "file:///home/me/a b", "dir_info": {"editable": true}}', "-e '/home/me/a b[fit]'"),
        ('{"url": "file:///home/me/it", "dir_info": {}}', "'/home/me/it[fit]'"),
        ('{"url": "file:///w/unweave-1-py3-none-any.whl", "archive_info": {}}',
         "'unweave[fit] @ file:///w/unweave-1-py3-none-any.whl'"),
    ],
)  # fmt: skip
def test_an_extra_is_installed_from_where_the_package_came(monkeypatch, came_from, expected):
    class Distribution:
        def read_text(self, name: str) -> str | None:
            return came_from

    monkeypatch.setattr(metadata, "distribution", lambda name: Distribution())
    assert packages.install_command("fit").endswith(f"pip install {expected}")


# --- the machine ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "has"),
    [("cuda: Optional[str] = None\nhip: Optional[str] = None\n", False), ("cuda = None\n", False),
     ("cuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n", True), ("hip = '6.4'\n", True)],
)  # fmt: skip
def test_whether_torch_could_have_a_gpu_is_read_without_importing_it(monkeypatch, tmp_path, said, has):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise RuntimeError('it was imported')")
    (tmp_path / "torch" / "version.py").write_text(said)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert machine._built_for_a_gpu() is has


def test_the_file_system_is_that_of_the_nearest_mount(monkeypatch, tmp_path):
    mounts = tmp_path / "mountinfo"
    rows = [("/", "rw - ext4 /dev/root rw"), (f"{tmp_path}/a\\040b", "rw shared:1 - nfs4 host:/x rw")]
    mounts.write_text("".join(f"36 22 0:31 / {place} {rest}\n" for place, rest in rows))
    monkeypatch.setattr(machine, "_MOUNTS", mounts)
    (tmp_path / "a b" / "deeper").mkdir(parents=True)
    assert machine.folder(tmp_path / "a b" / "deeper").file_system == "nfs4"
    assert machine.folder(tmp_path).file_system == "ext4"
    monkeypatch.setattr(machine, "_MOUNTS", tmp_path / "none")
    assert machine.folder(tmp_path).file_system is None


# --- what lies on the disk ------------------------------------------------------------------------


def test_caches_lie_where_their_owners_put_them(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    (tmp_path / "numba" / "sae_1").mkdir(parents=True)
    (tmp_path / "numba" / "sae_1" / "kernels.nbc").write_bytes(bytes(1000))
    (tmp_path / "numba" / "sae_1" / "kernels.py").write_bytes(bytes(77))  # not compiled by numba
    (tmp_path / "hf" / "hub").mkdir(parents=True)
    (tmp_path / "hf" / "hub" / "blob").write_bytes(bytes(30))
    (tmp_path / "hf" / "hub" / "link").symlink_to(tmp_path / "numba" / "sae_1" / "kernels.nbc")
    found = {one.name: one for one in kept.caches()}
    assert (found["compiled kernels"].n_bytes, found["compiled kernels"].writable) == (1000, True)
    assert 30 <= found["models of the hub"].n_bytes < 1000


def test_every_variable_that_holds_a_key_is_told():
    read = {
        name
        for path in (SRC / "unweave" / "engines").glob("*.py")
        for name in kept.KEYS
        if f'"{name}"' in path.read_text(encoding="utf-8")
    }
    assert read >= {"ELASTICSEARCH_API_KEY", "QDRANT_API_KEY", "MILVUS_TOKEN", "VESPA_CLOUD_SECRET_TOKEN"}


def test_a_damaged_dictionary_is_seen_and_is_no_working_core(monkeypatch, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr(packaged, "DICTIONARY", tmp_path)
    found = installation()
    assert not found.works
    assert any("the packaged dictionary is damaged or missing" in one.about for one in found.advice)
    assert CliRunner().invoke(main, ["doctor"]).exit_code == 1


# --- the command ----------------------------------------------------------------------------------


def test_no_value_of_a_key_is_shown(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-never-to-be-seen")
    monkeypatch.setenv("HF_TOKEN", "")
    for words in ((), ("--json",)):
        done = CliRunner().invoke(main, ["doctor", *words])
        assert (done.exit_code, done.stderr) == (0, "")
        assert "never-to-be-seen" not in done.stdout
    said = json.loads(done.stdout)
    assert (said["keys"]["OPENAI_API_KEY"], said["keys"]["HF_TOKEN"]) == (True, False)
    assert said["works"] and said["core"]["fits"] and said["version"] == unweave.__version__


def test_it_is_plain_on_a_narrow_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "44")
    lines = CliRunner().invoke(main, ["doctor"]).stdout.splitlines()
    wrapped = [line for line in lines if not line.startswith(("- ", "  run:", "  to install"))]
    assert all(len(line) <= 44 or len(line.split()) <= 2 for line in wrapped)  # a path is not broken
    assert "\x1b" not in "".join(lines)


def test_what_the_core_lacks_is_said_with_the_command_that_installs_it(made_up, monkeypatch):
    monkeypatch.setattr(packages, "install_command", lambda extra: f"pip install '{extra}'")
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 1
    assert "the core lacks click>=8.1\n  run: pip install ''" in done.stdout


# --- with nothing but the core --------------------------------------------------------------------


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """The Python of an environment in which nothing but the core is installed, linked from this one."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages_there,) = folder.glob("lib/python*/site-packages")
    needed, seen = [one.name for one in packages.read_extra(packages.CORE).packages], set()
    while needed:
        name = needed.pop()
        if name in seen:
            continue
        seen.add(name)
        found = metadata.distribution(name)
        for top in {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (packages_there / top).exists():
                (packages_there / top).symlink_to(found.locate_file(top))
        wanted = (Requirement(text) for text in found.requires or ())
        needed += [one.name for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    ours = packages_there / "unweave-0.1.0.dist-info"
    ours.mkdir()
    text = metadata.distribution("unweave").read_text("METADATA")
    (ours / "METADATA").write_text(text, encoding="utf-8")
    (packages_there / "unweave").symlink_to(SRC / "unweave")
    return folder / "bin" / "python"


def test_with_nothing_but_the_core_all_that_it_needs_is_there_and_no_extra(bare):
    done = subprocess.run(
        [bare, "-I", "-m", "unweave", "doctor", "--json"], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["works"] and said["core"]["fits"]
    assert not any(one["fits"] for one in said["extras"])
    assert said["accelerators"] == {"torch": None, "devices": [], "how": "torch is not installed", "threads": None}


def test_the_doctor_needs_no_package_that_it_looks_for(bare):
    """What the core lacks is seen while it is missing: neither NumPy nor what stands on it is imported."""
    looked_for = ("numpy", "scipy", "numba", "llvmlite", "safetensors", "tomlkit")
    hidden = f"import sys\nsys.modules.update(dict.fromkeys({looked_for}))\n"
    script = f"{hidden}from unweave.cli import main\nmain(['doctor', '--json'])"
    done = subprocess.run([bare, "-I", "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["processor"]["features"] is None

"""What the shell offers when the tab key is pressed: asked as click's scripts ask, and in a real bash."""

import os
import shutil
import subprocess
import sys

import pytest
from click.shell_completion import ZshComplete

from unweave.cli import main
from unweave.cli.complete import ASKED, SYSTEMS
from unweave.stages.catalogue import _SYSTEMS


def offered(*words: object) -> dict[str, str | None]:
    """What is offered for the last word, with its help."""
    *before, incomplete = map(str, words)
    found = ZshComplete(main, {}, "unweave", ASKED).get_completions(before, incomplete)
    return {one.value: one.help for one in found}


def test_commands_and_options_are_offered():
    assert {"search", "search-all"} <= set(offered("sea"))
    assert "--cutoff" in offered("search", "mine", "--cu")
    assert set(offered("fit", "--variant", "m")) == {"matryoshka", "matching_pursuit"}


def test_systems_are_offered_by_their_names():
    assert set(SYSTEMS) == set(_SYSTEMS)
    assert set(offered("search", "mine", "--system", "CL-SR r")) == {"CL-SR rescored"}
    assert set(offered("compare", "mine", "den")) == {"dense"}


def test_concepts_are_offered_by_number_the_most_frequent_first_with_a_name(kept_copy):
    found = offered("concepts", "show", kept_copy, "")
    assert found and all(number.isdigit() for number in found)
    assert any(found.values())
    first = next(iter(found))
    assert all(one.startswith(first[0]) for one in offered("concepts", "rename", kept_copy, first[0]))
    assert first in offered("carrying", kept_copy, "any", first)


@pytest.mark.parametrize("incomplete", ["x", "²", "-1", "1*", "' OR 1"])
def test_what_is_no_number_is_offered_nothing(kept_copy, incomplete):
    assert offered("concepts", "show", kept_copy, incomplete) == {}


def test_a_damaged_database_and_a_project_without_concepts_offer_nothing(tmp_path):
    assert offered("concepts", "show", tmp_path, "") == {}
    (tmp_path / "concepts").mkdir()
    (tmp_path / "concepts" / "concepts.sqlite").write_bytes(b"no database" * 100)
    assert offered("concepts", "show", tmp_path, "") == {}


BASH = """
    eval "$({asked}=bash_source unweave)"
    COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
    _unweave_completion unweave
    printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_a_system_and_imports_nothing_that_computes(tmp_path):
    program = tmp_path / "unweave"
    heavy = ("numpy", "scipy", "numba", "torch")
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.modules.update(dict.fromkeys({heavy}))  # importing one is an error\n"
        "from unweave.cli import main\nmain(prog_name='unweave')\n"
    )
    program.chmod(0o755)
    here = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(sys.path)}
    script = BASH.format(asked=ASKED, words=r"unweave search mine --system 'CL-SR\ r'")
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=60, env=here)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "CL-SR\\ rescored\n"

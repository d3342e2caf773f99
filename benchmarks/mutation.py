"""Would the tests notice a fault in a formula?

    python benchmarks/mutation.py [MODULE …]

Seeds the modules of `SEEDED` with small faults, one at a time (see mutants.py), and runs the tests that stand beside
each module until one fails. A mutant that no test fails on has survived. Survivors that compute the same as before, for
every input that the program can give them, or choose as well, are judged by hand, each with its reason, in
mutation_equivalents.json; they count as neither caught nor survived. Writes results/mutation.json, of the modules that
were tried whole; its last line is one JSON object: mutants, caught, equivalent and the share that is caught.

A mutant takes as long as its tests, since nothing is imported for it (see trials.py). What was found of a module is
kept in `benchmarks/.cache` until the module changes; survivors that were not judged are tried anew each time, with the
tests of that time.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from environments import CACHE
from measuring import about
from mutants import Mutant, mutants
from trials import trials

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
RESULTS = Path(__file__).parent / "results" / "mutation.json"
EQUIVALENTS = Path(__file__).parent / "mutation_equivalents.json"
FOUND = CACHE / "mutation"
_MARKS = tuple(
    f"test_judges.py::{name}"
    for name in (
        "test_a_name_holds_if_the_low_end_is_above_nearly_all_nulls", "test_from_which_activation_a_name_holds",
        "test_what_came_with_a_dictionary_is_kept_as_what_was_found_elsewhere",
        "test_a_readers_name_is_shown_unless_another_is_surely_better",
    )
)  # fmt: skip
_SUMS = (
    *(
        f"test_systems.py::{name}"
        for name in (
            "test_a_sum_is_read_from_its_name", "test_a_sums_name_says_what_it_is", "test_a_sum_by_rank_by_hand",
            "test_what_a_sum_says_of_itself",
            "test_the_only_passage_with_a_rare_word_gets_all_of_bm25s_weight",
        )
    ),
    *(
        f"test_steering.py::{name}"
        for name in (
            "test_a_passage_that_is_banned_is_found_by_no_system_of_a_sum",
            "test_boosts_go_to_the_systems_of_a_sum_that_take_them",
            "test_a_sum_bans_what_its_search_by_concepts_bans_alone",
            "test_a_sum_of_two_kinds_of_concepts_takes_no_numbers_of_them",
        )
    ),
)  # fmt: skip
"""The quick ones first: the others embed a corpus for each fault."""
_PURSUITS = tuple(
    f"test_pursuit.py::test_{name}"
    for name in (
        "the_first_choice_is_the_highest_correlation", "matching_adds_the_correlation_of_the_residual",
        "orthogonal_solves_for_both_coefficients", "gradient_steps_as_far_as_the_error_falls",
        "matching_chooses_a_latent_again_and_adds_its_coefficients",
        "a_coefficient_that_would_turn_negative_leaves_the_support",
        "of_coefficients_that_would_turn_negative_the_first_to_reach_zero_leaves_alone",
        "a_direction_in_the_span_of_those_before_it_is_not_taken", "of_a_longer_embedding_there_is_more_of_the_same",
        "only_positive_parts_are_chosen",
        "directions_of_any_length_give_the_same_reconstruction", "of_equal_directions_the_first_is_taken",
        "an_embedding_at_b_pre_has_no_latents", "no_embeddings_have_no_latents",
        "rows_are_the_same_on_both_sides_of_a_block_border", "pursuit_leaves_its_input_as_it_was",
        "sums_of_orthogonal_directions_are_recovered", "looking_at_every_latent_equals_the_obvious_pursuit",
        "one_by_one_equals_batched", "codes_are_positive_sorted_and_no_longer_than_k",
        "more_latents_never_reconstruct_worse",
        "with_more_latents_than_are_lowered_at_a_time_the_obvious_ones_are_found",
        "of_random_directions_the_candidates_find_what_looking_at_every_latent_finds",
        "without_a_gram_matrix_the_codes_are_the_same",
    )
)  # fmt: skip
"""Those that take seconds without the compiler, the quick ones first."""
SEEDED: dict[str, tuple[str, ...]] = {
    "retrieval/fusion.py": ("test_fusion.py",),
    "evaluation/significance.py": ("test_significance.py",),
    "base/contributions.py": ("test_groups.py", "test_explanation.py"),
    "explaining/accounting.py": ("test_explanation.py",),
    "explaining/two_sided.py": ("test_two_sided.py",),
    "explaining/difference.py": ("test_difference.py",),
    "index/scoring.py": ("test_scoring.py",),
    "index/hits.py": ("test_fusion.py", "test_scoring.py"),
    "concepts/concept.py": (*_MARKS, "test_concept.py", "test_concepts.py"),
    "evaluation/measures.py": (
        "test_evaluation.py", "test_nonsense.py::test_a_measure_is_known_by_its_name",
        "test_nonsense.py::test_what_is_no_measure_is_refused",
        "test_nonsense.py::test_what_is_no_measure_is_told_those_that_there_are",
    ),
    "base/records.py": (
        "test_groups.py", "test_explanation.py",
        "test_counterfactual.py::test_a_text_begins_where_its_passage_says_in_what_the_encoder_reads",
    ),
    "explaining/counterfactual.py": ("test_counterfactual.py",),
    "retrieval/sums.py": (*_SUMS, "test_systems.py"),
    "sae/model.py": (
        "test_sae.py", "test_returns.py::test_a_latent_returns_from_the_threshold_on",
        "test_returns.py::test_it_is_kept_and_read_with_the_weights",
        "test_returns.py::test_what_is_no_agreement_of_each_latent_is_refused", "test_stopping.py", "test_pursuit.py",
    ),
    "sae/pursuit.py": _PURSUITS,
}  # fmt: skip
"""The modules below src/unweave, and the tests below tests/ that hold each."""
IMPORTED = (
    "pytest", "hypothesis", "click.testing", "numba", "scipy.sparse", "scipy.stats", "torch", "safetensors.torch",
    "ir_measures", "pytrec_eval", "tomlkit", "tqdm",
)  # fmt: skip
"""What tests import beside unweave, so that it is imported once for all modules."""
INTERPRETED = frozenset({"sae/pursuit.py"})
"""Modules of compiled kernels, which are tried without the compiler."""


def main() -> None:
    chosen = [word for word in sys.argv[1:] if not word.startswith("--")] or list(SEEDED)
    _import_everything_else()
    for module in chosen:
        found = tried(module)
        print(f"{module}: {len(found)} mutants, {sum(bool(by) for by in found.values())} caught", flush=True)
        for fault, by in found.items():
            if not by and fault not in equivalents(module):
                print(f"  survived: {fault}", flush=True)
    results = {
        "about": about("numpy", "pytest"),
        "modules": [summed_up(module) for module in SEEDED if _is_whole(module)],
    }
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print("\n".join(summary(results)))
    print(json.dumps(total(results)))


# --- one module -----------------------------------------------------------------------------------


def tried(module: str) -> dict[str, str]:
    """Which test caught each mutant of a module, by its fault; "" if none did."""
    kept = _kept(module)
    every = dict(named((SOURCE / "unweave" / module).read_text(encoding="utf-8")))
    judged = equivalents(module).keys() & kept.keys()
    to_try = {fault: mutant.tree for fault, mutant in every.items() if not kept.get(fault) and fault not in judged}
    name = f"unweave.{module.removesuffix('.py').replace('/', '.')}"
    for fault, failed in trials(name, SEEDED[module], to_try, interpreted=module in INTERPRETED):
        kept[fault] = failed
        _keep(module, kept)
    return {fault: kept[fault] for fault in every}


def named(source: str) -> Iterator[tuple[str, Mutant]]:
    """Mutants by the text of their line and fault, which stay when other lines move; repeated ones are numbered."""
    times: dict[str, int] = {}
    lines = source.splitlines()
    for mutant in mutants(source):
        name = f"{lines[mutant.line - 1].strip()}  ⟦{mutant.fault}⟧"
        times[name] = times.get(name, 0) + 1
        yield name if times[name] == 1 else f"{name} ({times[name]})", mutant


def _import_everything_else() -> None:
    """Import what the tests import beside unweave, so that forks have it."""
    sys.path[:0] = [str(SOURCE), str(ROOT / "tests")]
    for name in IMPORTED:
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.partition(".")[0] == "unweave"]:
        del sys.modules[name]  # forks import it anew


# --- what was found -------------------------------------------------------------------------------


def _digest(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _kept(module: str) -> dict[str, str]:
    """What was found of a module as it is: who caught each mutant, by its fault."""
    path = FOUND / f"{module.replace('/', '-')}.json"
    if not path.exists():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    is_same = kept["source"] == _digest([SOURCE / "unweave" / module, Path(__file__).parent / "mutants.py"])
    return dict(kept["found"]) if is_same else {}


def _is_whole(module: str) -> bool:
    """Whether every mutant of a module as it is was tried."""
    kept = _kept(module)
    return bool(kept) and all(
        fault in kept for fault, _ in named((SOURCE / "unweave" / module).read_text(encoding="utf-8"))
    )


def _keep(module: str, found: Mapping[str, str]) -> None:
    FOUND.mkdir(parents=True, exist_ok=True)
    source = _digest([SOURCE / "unweave" / module, Path(__file__).parent / "mutants.py"])
    path = FOUND / f"{module.replace('/', '-')}.json"
    path.write_text(json.dumps({"source": source, "found": found}, indent=0, ensure_ascii=False), encoding="utf-8")


def equivalents(module: str) -> dict[str, str]:
    """Faults of a module after which it is as right, and why."""
    return dict(json.loads(EQUIVALENTS.read_text(encoding="utf-8")).get(module, {}))


def summed_up(module: str) -> dict[str, Any]:
    """What became of a module's mutants."""
    found, same = _kept(module), equivalents(module)
    survived = [fault for fault, by in found.items() if not by and fault not in same]
    return {
        "module": module,
        "tests": list(SEEDED[module]),
        "mutants": len(found),
        "caught": sum(bool(by) for by in found.values()),
        "equivalent": sum(not by and fault in same for fault, by in found.items()),
        "survived": survived,
    }


def total(results: Mapping[str, Any]) -> dict[str, float]:
    """Over all modules; the share is of mutants that compute something else."""
    modules = results["modules"]
    counts = {name: sum(one[name] for one in modules) for name in ("mutants", "caught", "equivalent")}
    return {**counts, "share": round(counts["caught"] / max(1, counts["mutants"] - counts["equivalent"]), 3)}


def summary(results: Mapping[str, Any]) -> list[str]:
    """A line a module, and one for all."""
    from unweave.cli.show import table

    rows = []
    for one in [*results["modules"], {"module": "all", **total(results)}]:
        different = one["mutants"] - one["equivalent"]
        rows.append({
            "module": one["module"], "mutants": f"{one['mutants']:,}", "as right": one["equivalent"] or "",
            "caught": f"{one['caught']:,}", "survived": different - one["caught"],
            "share": f"{one['caught'] / max(1, different):.1%}",
        })  # fmt: skip
    return list(table(rows))


if __name__ == "__main__":
    main()

"""Plans: sums that can be worked out by hand, what breaks first, and the command that shows them."""

import json
import logging
import math
import subprocess
import sys

import click
import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks_of_the_repository import load_benchmark
from unweave.cli import main
from unweave.cluster import calibration
from unweave.cluster import rates as rate_files
from unweave.cluster.assumptions import Assumptions, read_assumptions
from unweave.cluster.calibration import mixed, random_sae
from unweave.cluster.encoders import Shape, shape_of
from unweave.cluster.order import Order, Prices, count
from unweave.cluster.plan import planned
from unweave.cluster.rates import Rate, Rates, Spread, Training, packaged, trained_per_second
from unweave.errors import BadData, CorruptArtifact

NONSENSE = ["nonsense", "", "-1", "1e400", "nan", "9" * 23, "0=x", "5=1e999"]


@pytest.fixture(autouse=True)
def notes_end_with_the_test(monkeypatch):
    monkeypatch.setattr(logging.getLogger("unweave"), "handlers", [])


def unweave(*words: object):
    return CliRunner().invoke(main, [str(word) for word in words])


ROUND = {
    "embed": 1e9, "tokens": 1.0, "text": 6.0, "cut": 1e6, "encode": 1e9, "code": 1e9, "no gram": 5.0, "build": 1e6,
    "search": 1e-9, "build memory": 10.0, "cores": 0.5, "latents": 30.0, "name": 10.0, "name memory": 1e9,
    "product": 1e12, "lists": 2.0, "forward": 4.0, "ids": 10.0,
}  # fmt: skip
RATES = Rates(
    {name: Rate(value, "", "", "2026-01-01", "a desk", "by hand") for name, value in ROUND.items()},
    (Training(10, 320, 1000.0),), (Training(10, 320, 1e6),), ((1000, 1e-3), (2000, 2e-3)),
    Spread((1.0, 1.0), (1.0, 1.0)),
)  # fmt: skip
TINY = Shape("tiny", 1, 10, 512)  # 12 * 1 * 10^2 = 1,200 parameters
ALONE = Assumptions(cores_per_machine=2, shard_passages=1000, n_latents=320)


def order(**given) -> Order:
    return Order(**{"n_passages": 10_000, "words": 98.0, "encoder": TINY, "machines": 1} | given)


def stages(*of, **given):
    return {stage.name: stage for stage in planned(order(**given), RATES, *of).stages}


# --- numbers as people write them ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "n"),
    [("100M", 100_000_000), ("8.8M", 8_800_000), ("10B", 10**10), ("1e6", 10**6), ("1,000,000", 10**6), ("12k", 12_000),
     ("2.5e3", 2500), (" 7 ", 7), ("1T", 10**12)],
)  # fmt: skip
def test_a_number_is_read_as_people_write_it(text, n):
    assert count(text) == n


@pytest.mark.parametrize("text", ["100X", "", "0", "-5", "1.5", "1,00,000", "nan", "1e99", "M", "1 0", "9" * 50, "٣"])
def test_what_is_no_number_is_refused_in_one_sentence(text):
    with pytest.raises(BadData, match="is no number of passages; give one such as 100M"):
        count(text)


def test_an_encoders_size_is_known_by_name_by_numbers_and_by_folder(tmp_path):
    assert shape_of("sentence-transformers/all-MiniLM-L6-v2") == shape_of("all-MiniLM-L6-v2")
    assert shape_of("all-MiniLM-L6-v2").parameters == 12 * 6 * 384**2
    assert shape_of("24x1024").parameters == 12 * 24 * 1024**2
    (tmp_path / "config.json").write_text('{"num_hidden_layers": 2, "hidden_size": 32, "max_position_embeddings": 64}')
    assert shape_of(str(tmp_path)) == Shape(tmp_path.name, 2, 32, 64)
    for name in ("nope", "0x768", "9999x1", ""):
        with pytest.raises(BadData, match="size"):
            shape_of(name)
    (tmp_path / "config.json").write_text('{"num_hidden_layers": "many"}')
    with pytest.raises(BadData, match="states no size"):
        shape_of(str(tmp_path))


# --- the arithmetic --------------------------------------------------------------------------------


def test_embedding_on_cores_is_parameters_times_tokens_over_the_rate():
    # 98 words and 2 special tokens; 10,000 * 100 * 1,200 / 1e9 = 1.2 core s on 2 cores. 40 + 8 bytes a passage.
    embed = stages(ALONE)["embed"]
    assert embed.hours == pytest.approx(0.6 / 3600)
    assert (embed.workers, embed.on, embed.bound_by) == (2, "core", "cores")
    assert embed.disk_bytes == 10_000 * 48


def test_a_longer_text_than_the_encoder_reads_costs_no_more():
    cut = Shape("tiny", 1, 10, 50)
    assert stages(ALONE, encoder=cut)["embed"].hours == pytest.approx(0.3 / 3600)


def test_embedding_on_gpus_is_the_products_share_or_what_the_reader_says():
    # 2 * 1,200 * 100 operations a text; 1e12 * .4 a second: 1.67 million texts, more than networks bring.
    wide = Assumptions(cores_per_machine=2, shard_passages=1000, n_latents=320, network_gbit=1e6)
    assert stages(wide, gpus=4)["embed"].hours == pytest.approx(10_000 * 240_000 / 4e11 / 4 / 3600)
    said = stages(ALONE, gpus=4, texts_per_gpu_second=100.0)["embed"]
    assert said.hours == pytest.approx(25 / 3600)
    assert (said.workers, said.on, said.machines) == (4, "GPU", 1)


def test_where_cards_are_faster_than_the_network_the_network_decides():
    # 600 * 98 / 100 = 588 bytes of text and 48 of embedding a passage, at 10 Gbit/s * .7 = 875 MB/s.
    embed = stages(ALONE, gpus=4)["embed"]
    assert embed.bound_by == "network"
    assert embed.hours == pytest.approx(10_000 * (98 * 6 + 48) / 875e6 / 3600)


def test_latents_and_codes_and_index_follow_from_their_rates():
    # 10,000 * 10 * 320 = 3.2e7 products, at 1e9 for latents and for codes: .064 core s. 300,000 postings at 1e6.
    found = stages(ALONE)
    assert found["latents and codes"].hours == pytest.approx(0.032 / 3600)
    assert found["index"].hours == pytest.approx(0.15 / 3600)
    assert found["index"].disk_bytes == 300_000 * 6 + 10_000 * 10
    assert found["index"].worker_bytes == 10 * 30 * 1000  # of one shard


def test_codes_take_longer_where_the_cosines_of_latents_are_not_stored():
    # 4 * 20,000^2 bytes are more than a GiB: codes take 5 times as long, latents do not.
    large = Assumptions(cores_per_machine=2, shard_passages=1000, n_latents=20_000)
    assert stages(large)["latents and codes"].hours == pytest.approx((1 + 5) * 10_000 * 10 * 20_000 / 1e9 / 2 / 3600)


def test_names_take_no_longer_than_for_as_many_passages_as_are_looked_at():
    alike = [stages(ALONE, n_passages=n)["evidence and names"].hours for n in (200_000, 400_000)]
    assert alike[0] == pytest.approx(320 / 10 / 2 / 3600) and alike[1] == pytest.approx(alike[0])


def test_money_is_that_of_what_has_a_price_and_no_more():
    prices = Prices(gpu_hour=2.0, cpu_hour=0.5, gb_month=0.25)
    plan = planned(order(gpus=4, texts_per_gpu_second=100.0), RATES, ALONE, prices)
    found = {stage.name: stage for stage in plan.stages}
    assert found["embed"].money == pytest.approx(4 * 2.0 * 25 / 3600)
    assert found["index"].money == pytest.approx(2 * 0.5 * found["index"].hours)
    assert found["search service"].money == pytest.approx(730 * 2 * 0.5)
    assert plan.stored_money == pytest.approx(0.25 * plan.kept_bytes / 1e9)
    assert plan.making_money == pytest.approx(sum(s.money for s in plan.stages[:-1]))
    assert all(stage.money is None for stage in stages(ALONE).values())
    only_gpus = stages(ALONE, Prices(gpu_hour=2.0), gpus=4, texts_per_gpu_second=100.0)
    assert only_gpus["index"].money is None and only_gpus["embed"].money is not None


def test_hours_and_bytes_are_the_sums_of_the_stages():
    plan = planned(order(), RATES, ALONE)
    assert plan.hours == pytest.approx(sum(stage.hours for stage in plan.stages[:-1]))
    assert plan.kept_bytes == pytest.approx(sum(stage.disk_bytes for stage in plan.stages))


def test_the_search_service_has_as_many_machines_as_hold_the_index_and_answer():
    # An index of 30 * 6 + 10 bytes and a code of 100 bytes a passage: 2.9 MB on machines with room for 1 MB.
    little = Assumptions(cores_per_machine=2, shard_passages=1000, n_latents=320, memory_gb=1.25e-3, memory_share=0.8)
    assert planned(order(machines=None), RATES, little).machines == 3
    # 10 shards of 1 ms at half speed are 20 core ms; 200 queries a second are 4 cores, half busy 8, of 2 a machine.
    asked = Assumptions(cores_per_machine=2, shard_passages=1000, n_latents=320, queries_per_second=200.0)
    assert planned(order(machines=None), RATES, asked).machines == 4


def test_times_of_a_shard_lie_on_lines_between_what_was_measured():
    assert [RATES.seconds_of_a_shard(n) for n in (1500, 1000, 4000)] == pytest.approx([1.5e-3, 1e-3, 4e-3])
    assert RATES.seconds_of_a_shard(1) > 0


def test_training_scales_from_the_nearest_measured_size():
    measured = (Training(10, 100, 1000.0), Training(10, 1000, 200.0))
    assert trained_per_second(measured, 10, 1000) == 200
    assert trained_per_second(measured, 10, 2000) == 100
    assert trained_per_second(measured, 10, 110) == pytest.approx(1000 / 1.1)


def test_rates_of_this_machine_take_the_place_of_the_packaged_ones():
    rate = Rate(2e-9, "", "", "", "", "")
    slower = RATES.with_rates({"search": rate, "embed": Rate(5e8, "", "", "", "", "")})
    assert slower["embed"] == 5e8 and slower["cut"] == 1e6
    assert slower.seconds_of_a_shard(1000) == pytest.approx(2e-3)


# --- what breaks first -----------------------------------------------------------------------------


def test_one_project_breaks_where_its_postings_need_64_bits():
    # 30 latents a passage: 2^31 postings are 71.6 million passages.
    roomy = Assumptions(memory_gb=1e6, disk_gb=1e9, most_hours=1e9, n_latents=320)
    first = planned(order(n_passages=10**8), RATES, roomy).one_project[0]
    assert first.what.startswith("memory maps") is False and "postings" in first.what
    assert 1e8 / first.share == pytest.approx(2**31 / 30)


def test_too_few_machines_are_said_to_break():
    limits = planned(order(n_passages=10**9), RATES, Assumptions(n_latents=320)).limits
    memory = next(one for one in limits if one.what == "memory of one searcher")
    assert memory.share == pytest.approx(1e9 * (30 * 6 + 10 + 100) / (64e9 * 0.8))
    assert [one.share for one in limits if not one.avoided] == sorted(
        (one.share for one in limits if not one.avoided), reverse=True
    )


def test_what_a_plan_avoids_comes_last():
    limits = planned(order(n_passages=10**10), RATES, Assumptions(n_latents=320)).limits
    assert limits[-1].avoided and limits[-1].what == "driver's memory, all evidence at once"


# --- assumptions -----------------------------------------------------------------------------------


def test_assumptions_come_from_toml_and_from_json(tmp_path):
    (tmp_path / "a.toml").write_text("memory_gb = 128\nreplicas = 2\n")
    (tmp_path / "a.json").write_text('{"memory_gb": 128, "replicas": 2}')
    wanted = Assumptions(memory_gb=128.0, replicas=2)
    assert read_assumptions(tmp_path / "a.toml") == read_assumptions(tmp_path / "a.json") == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [("memory = 1", "names 'memory', which is no assumption; there are busy,"), ("busy = 2", "busy must be a number"),
     ("replicas = 1.5", "should be of type int"), ("replicas = ", "cannot be read as TOML or JSON"),
     ("[1]", "names '1'"), ('{"busy": NaN}', r"NaN|finite|above 0"), ("memory_gb = " + "9" * 400, "must be"),
     ("fan_in = 1", "at least 2"), ("round_trip_ms = 9", "round_trip_p99_ms must be at least")],
)  # fmt: skip
def test_assumptions_that_cannot_be_are_refused(tmp_path, text, said):
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(BadData, match=said):
        read_assumptions(tmp_path / "a.toml")


# --- the packaged rates ----------------------------------------------------------------------------


def test_every_packaged_rate_says_when_where_and_how_it_was_measured():
    for name, rate in packaged().rates.items():
        assert rate.value > 0 and math.isfinite(rate.value), name
        assert rate.date[:3] == "202" and rate.machine and rate.unit and rate.what, name
        assert rate.script.startswith("python benchmarks/"), name


def test_the_packaged_rates_are_those_of_the_benchmarks():
    written = rate_files.as_dict(load_benchmark("rates").gathered())
    there = json.loads(rate_files.PACKAGED.read_text(encoding="utf-8"))
    assert json.loads(json.dumps(written)) == there, "run python benchmarks/rates.py"
    assert rate_files.from_dict(there) == packaged()


def test_a_file_without_rates_is_said_to_be_damaged(tmp_path):
    (tmp_path / "rates.json").write_text('{"rates": {}}')
    with pytest.raises(CorruptArtifact, match="does not hold rates"):
        packaged(tmp_path / "rates.json")


# --- calibration -----------------------------------------------------------------------------------


def test_a_random_sae_keeps_about_as_many_latents_as_it_is_to():
    rows = np.random.default_rng(0).standard_normal((400, 64)).astype(np.float32)
    sae = random_sae(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    assert sae.encode(rows / np.linalg.norm(rows, axis=1, keepdims=True)).nnz / 400 == pytest.approx(32, rel=0.05)


def test_mixed_embeddings_are_as_many_as_wanted_and_all_different():
    rows = np.eye(4, dtype=np.float32)
    made = mixed(rows, 100)
    assert made.shape == (100, 4)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, rtol=1e-5)


class Counting:
    """An encoder of the width 32 that shows a token for each word, and how many texts it was given."""

    identity: dict = {"model": "counting"}  # noqa: RUF012 - never mutated

    def __init__(self):
        self.random, self.n_texts = np.random.default_rng(0), 0

    def encode_passages(self, texts):
        self.n_texts += len(texts)
        rows = self.random.standard_normal((len(texts), 32)).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    encode_queries = encode_passages

    def encode_tokens(self, texts, *, of_queries=False):
        return [np.zeros((len(text.split()), 32), np.float32) for text in texts]

    def words(self, texts, *, of_queries=False):
        return [text.split() for text in texts]


def test_a_machine_is_measured_by_what_the_plan_calculates_with(monkeypatch):
    monkeypatch.setattr(calibration, "_INDEXED", 3000)
    monkeypatch.setattr(calibration, "_CORPUS", 200)
    encoder = Counting()
    found = calibration.calibrated(
        encoder, Shape("toy", 1, 32, 512), ["eight words that say nothing much at all"] * 130
    )
    assert encoder.n_texts == calibration.TEXTS + 64  # some to warm up
    assert found["tokens"].value == 1 and found["text"].value == 5
    assert found.keys() <= packaged().rates.keys()
    assert all(rate.value > 0 and rate.script == "unweave plan --calibrate" for rate in found.values())
    assert packaged().with_rates(found)["embed"] == found["embed"].value


def test_too_few_texts_and_an_sae_of_another_width_are_refused():
    with pytest.raises(BadData, match="5 texts are too few to measure by"):
        calibration.calibrated(Counting(), Shape("toy", 1, 32, 512), ["a"] * 5)
    wide = random_sae(np.eye(64, dtype=np.float32))
    with pytest.raises(BadData, match="reads embeddings 64 wide, and the encoder makes 32"):
        calibration.calibrated(Counting(), Shape("toy", 1, 32, 512), ["a b"] * 130, wide)


# --- the command -----------------------------------------------------------------------------------


@pytest.mark.parametrize("passages", ["1M", "8.8M", "100M", "10B"])
def test_a_plan_is_shown_whole_and_no_wider_than_a_terminal(passages):
    done = unweave("plan", "--passages", passages, "--words", 120, "--gpus", 8, "--price-gpu-hour", 2.5)
    assert (done.exit_code, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 120
    for said in ("What breaks first, as planned", "MEASURED", "ASSUMED, not measured", "HALF ASSUMED", "simulated"):
        assert said in done.stdout


def test_without_prices_there_is_no_word_of_money():
    assert "money" not in unweave("plan", "--passages", "1M").stdout


def test_the_json_has_all_that_is_shown_and_is_json():
    done = unweave("plan", "--passages", "1B", "--gpus", 8, "--price-cpu-hour", 0.04, "--json")
    found = json.loads(done.stdout, parse_constant=lambda name: pytest.fail(name))
    assert [stage["name"] for stage in found["stages"]][::3] == ["cut corpus into shards", "latents and codes",
                                                                 "search service"]  # fmt: skip
    assert found["hours"] == pytest.approx(sum(stage["hours"] or 0 for stage in found["stages"]))
    assert {"machine", "date", "script"} <= found["measured"]["embed"].keys()
    assert found["assumed"]["gpu_share"] == Assumptions().gpu_share


def test_assumptions_of_the_reader_are_used_and_shown(tmp_path):
    (tmp_path / "mine.toml").write_text("shard_passages = 250_000\n")
    done = unweave("plan", "--passages", "1M", "--assumptions", tmp_path / "mine.toml")
    assert "4 shards of 250,000" in done.stdout and "250,000  Passages of a shard" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--passages", "100X"], "'100X' is no number of passages"),
        (["--passages", "1M", "--machines", "0"], "machines must be between 1 and a million, got 0"),
        (["--passages", "1M", "--encoder", "nope"], "the size of the encoder 'nope' is not known"),
        (["--passages", "1M", "--texts-per-gpu-second", "5"], "there are none; give --gpus"),
        (["--passages", "1M", "--price-cpu-hour", "nan"], "price_cpu_hour must be a number"),
        (["--passages", "1M", "--assumptions", "nowhere.toml"], "nowhere.toml cannot be read"),
    ],
)
def test_what_cannot_be_planned_is_said_in_one_line(words, said):
    done = unweave("plan", *words)
    assert done.exit_code and done.stdout == ""
    assert said in done.stderr.splitlines()[-1] and done.stderr.splitlines()[-1].startswith("Error: ")


def test_nonsense_in_an_option_is_refused_in_one_line_or_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = [p.opts[0] for p in main.commands["plan"].params if isinstance(p, click.Option) and not p.is_flag]
    for option in options:
        for value in NONSENSE:
            done = unweave("plan", *(() if option == "--passages" else ("--passages", "1M")), option, value)
            assert done.exception is None or isinstance(done.exception, SystemExit), (option, value, done.exception)
            if done.exit_code:
                assert done.stderr.splitlines()[-1].startswith("Error: "), (option, value, done.stderr)


def test_the_command_needs_no_numpy_to_show_its_help():
    script = "import sys; from unweave.cli import main; main.commands['plan']; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0

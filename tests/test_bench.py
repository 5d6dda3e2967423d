"""The benchmark of the training loop, `benchmarks/bench.py`."""

import json

import pytest


@pytest.mark.slow
def test_the_benchmark_of_the_loop_runs_and_takes_every_ratio_within_its_rounds(benchmark, monkeypatch, tmp_path):
    bench, out = benchmark("bench"), tmp_path / "out.json"
    monkeypatch.setattr(bench, "modes", lambda work: ["eager"])
    monkeypatch.setattr("sys.argv", f"bench --rounds 1 --seconds 0.02 --only lenet --out {out}".split())
    bench.main()
    rows = json.loads(out.read_text())["rows"]
    assert [row["teachers"] for row in rows] == [1, 3]
    for row in rows:
        rates = row["images_per_second"]
        assert row["ratio_to_conventional"] == pytest.approx(rates["kdlib"] / rates["conventional"])

"""The measured cost of the paper's regime, `benchmarks/grid.py`."""


def test_every_contender_of_the_grid_trains_at_least_one_batch(benchmark, monkeypatch):
    grid = benchmark("grid")
    monkeypatch.setattr(grid, "NET", "resnet8-bn-w8")
    monkeypatch.setattr(grid, "BATCH", 4)
    monkeypatch.setattr(benchmark("bench"), "IMAGES", 8)
    for teachers in (0, 1, 3):
        for name in ("conventional", "bound, eager", "bound, channels-last", "kdlib", "kdlib, two share labels"):
            images, seconds = grid.contender(name, teachers)(0.0)
            assert images >= 4 and images % 4 == 0 and seconds > 0


def test_the_grid_counts_every_image_that_its_plan_trains_on(benchmark):
    from kdlib.experiments import CHAPTERS, Design

    counted = benchmark("grid").grid()
    teachers, students = 9 * 5859 * 128, {(1, 2): 2, (3, 2): 2}  # temperatures 1 and 4 see the same batches
    assert counted[0, 1] == teachers
    for share, temperatures in students.items():
        assert counted[share] == 3 * temperatures * 8789 * 128
    specs = {s for row in CHAPTERS["10_halves"].runs(Design("halves")).values() for s in row}
    assert sum(counted.values()) == sum(s.training.steps * s.training.batch for s in specs)

"""`tools/bench/run --check` must notice a ratio that was lost."""

import importlib.machinery
import importlib.util
import json
import pathlib
import tempfile
import unittest

BENCH = pathlib.Path(__file__).resolve().parents[2] / "tools" / "bench"


def load():
    loader = importlib.machinery.SourceFileLoader("bench_run",
                                                  str(BENCH / "run"))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader("bench_run", loader))
    loader.exec_module(module)
    return module


run = load()


class Check(unittest.TestCase):
    def test_ratios_are_the_peers_time_over_ours(self):
        rows = {"imgbuild": {"seconds": 2.0}, "docker": {"seconds": 5.0}}
        self.assertEqual(run.ratios({"W1": rows}), {"W1": {"docker": 2.5}})

    def test_a_third_may_be_lost(self):
        recorded = {"W1": {"docker": 12.0}}
        self.assertEqual(run.check({"W1": {"docker": 9.0}}, recorded), ([], 1))
        self.assertEqual(
            run.check({"W1": {"docker": 8.9}}, recorded),
            (["W1 against docker: 1/12.0 then, 1/8.9 now"], 1))

    def test_what_was_not_recorded_is_not_compared(self):
        self.assertEqual(
            run.check({"W1": {"podman": 1.0}, "W2": {"docker": 1.0}},
                      {"W1": {"docker": 12.0}}), ([], 0))

    def test_recording_keeps_the_rest(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "r.json")
            run.record({"W1": {"docker": 2.0, "podman": 3.0}}, path)
            run.record({"W1": {"docker": 4.0}, "W2": {"docker": 5.0}}, path)
            self.assertEqual(json.loads(path.read_text()),
                             {"W1": {"docker": 4.0, "podman": 3.0},
                              "W2": {"docker": 5.0}})

    def test_the_recorded_workloads_exist(self):
        recorded = json.loads((BENCH / "recorded.json").read_text())
        self.assertLessEqual(recorded.keys(), run.TEXT.keys())
        for peers in recorded.values():
            self.assertTrue(all(ratio > 1 for ratio in peers.values()))


if __name__ == "__main__":
    unittest.main()

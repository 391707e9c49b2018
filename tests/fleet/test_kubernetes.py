"""Kubernetes objects: valid for the API's own schemas, and what they run."""

from __future__ import annotations

import subprocess
import warnings

import pytest
import yaml

from bench.cli.app import call
from bench.fleet import launch
from bench.fleet.kubernetes import _yaml
from bench.measure import plan as plans
from bench.model import BenchError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    kubernetes_validate = pytest.importorskip("kubernetes_validate")

VERSION = "1.33"
BASE = ["fleet", "kubernetes", "--image", "registry.example/bitwatt:1"]


def objects(capsys, *arguments):
    assert call([*BASE, *map(str, arguments)]) == 0
    return list(yaml.safe_load_all(capsys.readouterr().out))


def validate(found):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kubernetes_validate.validate(found, VERSION, strict=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nodes", 16, "--gpus-per-node", 8, "--claim", "shared"],
        ["--nodes", 2, "--namespace", "lab", "--one-by-one"],
        ["--daemon-set", "--gpus-per-node", 8],
    ],
    ids=["job", "job on the CPU", "daemon set"],
)
def test_the_objects_fit_the_apis_schemas(capsys, arguments):
    for each in objects(capsys, "--workload", "sha256d", *arguments):
        validate(each)


def test_the_check_rejects_a_misspelt_field(capsys):
    _, job = objects(capsys, "--nodes", 2)
    job["spec"]["completionsMode"] = job["spec"].pop("completionMode")
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(job)


def test_the_job_runs_one_worker_per_node_on_all_its_cards(capsys, tmp_path):
    settings, job = objects(capsys, "--nodes", 16, "--gpus-per-node", 8, "--claim", "shared", "--quick")
    spec = job["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 16, 16)
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 8}
    (apart,) = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert apart["topologyKey"] == "kubernetes.io/hostname"
    assert apart["labelSelector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    line = container["command"][-1]
    assert 'worker --plan /plan/plan.toml --out /results --node "$NODE_NAME" --together' in line
    assert subprocess.run(["/bin/sh", "-n", "-c", line]).returncode == 0
    path = tmp_path / "plan.toml"
    path.write_text(settings["data"]["plan.toml"])
    assert plans.read(path)["timing"] == {"quick": True}


def test_a_daemon_sets_pod_stays_after_its_measurement(capsys):
    _, found = objects(capsys, "--daemon-set")
    assert found["kind"] == "DaemonSet"
    assert found["spec"]["template"]["spec"]["containers"][0]["command"][-1].endswith("; sleep infinity")


def test_without_a_number_of_nodes_the_error_says_so():
    with pytest.raises(BenchError, match="number of nodes"):
        call(BASE)


@pytest.mark.parametrize(
    "value",
    [
        {"a": {"b": [1, {"c": "x: y", "d": [True, None]}, "#no"]}, "e": "one\n\n  two\n", "f": [], "g": {}},
        {"a": [{"b": {"c": {"d": "'"}}, "e": 2}], "f": "yes"},
    ],
)
def test_yaml_reads_back(value):
    assert yaml.safe_load(_yaml(value)) == value


def test_a_plan_reads_back_from_its_file(tmp_path):
    tables = {
        "selection": {"device": "cuda", "workload": ["sha256d", "transformer"]},
        "transformer": {"batch": [1, 16]},
        "timing": {"window_s": 0.5, "quick": True},
        "power": {"meter": "command:echo \"1\" # 'x' \\"},
    }
    path = tmp_path / "plan.toml"
    path.write_text(launch.plan_text(plans.from_dict(tables, "here")))
    assert plans.read(path) == tables

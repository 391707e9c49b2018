"""CUDA graphs of several jobs and devices, on a fake of torch's graph API that follows its sources."""

from __future__ import annotations

import pytest
import torch

from bench.model import BenchError, Device, Skip
from bench.workloads.transformer.graphs import WARM_UP_RUNS, Graphs
from tests.fakes.torch_cuda import STREAMS_PER_POOL, WORKSPACE_BYTES, FakeCuda

FIRST, SECOND = (Device("cuda", index, "a GPU", arch="sm_90") for index in (0, 1))


@pytest.fixture
def cuda(monkeypatch):
    return FakeCuda().install(monkeypatch)


def capture(cuda, device=FIRST, turns=2):
    graphs = Graphs(device)
    return graphs, graphs.capture([lambda: cuda.gemm(device.index)] * turns)


def replay(replays):
    for each in replays:
        each()


def test_a_run_is_warmed_up_captured_once_and_replayed(cuda):
    runs = []
    graphs = Graphs(FIRST)
    (again,) = graphs.capture([lambda: runs.append(cuda.capturing is not None)])
    assert runs == [False] * WARM_UP_RUNS + [True]
    replay([again, again])
    assert len(runs) == WARM_UP_RUNS + 1
    assert cuda.replays == 2
    graphs.close()
    graphs.close()
    with pytest.raises(RuntimeError, match="without a preceding"):
        again()


@pytest.mark.parametrize("closed", [0, 1])
def test_graphs_outlive_those_of_another_job(cuda, closed):
    jobs = [capture(cuda), capture(cuda)]
    jobs.pop(closed)[0].close()
    ((_, replays),) = jobs
    replay(replays)


def test_graphs_outlive_a_third_capture_and_eager_work(cuda):
    _, replays = capture(cuda)
    cuda.gemm()
    capture(cuda)[0].close()
    cuda.gemm()
    replay(replays)


def test_eager_work_inherits_no_workspace_of_a_graph(cuda):
    graphs, _ = capture(cuda)
    assert not cuda.workspaces
    graphs.close()
    cuda.gemm()
    assert all(each.valid for each in cuda.workspaces.values())


def test_each_gpu_captures_on_a_stream_of_its_own(cuda):
    _, on_first = capture(cuda, FIRST)
    _, on_second = capture(cuda, SECOND)
    replay(on_first + on_second)
    assert cuda.current == 0
    assert {stream.cuda_stream for stream in cuda.streams.values()} == {0}


def test_jobs_one_after_another_leave_no_workspace(cuda):
    for _ in range(3 * STREAMS_PER_POOL):
        graphs, replays = capture(cuda)
        replay(replays)
        graphs.close()
    assert cuda.workspace_bytes == 0
    capture(cuda, turns=8)[0].close()
    assert cuda.workspace_bytes == 0


def test_a_job_holds_one_workspace_for_all_its_graphs(cuda):
    graphs, _ = capture(cuda, turns=8)
    assert cuda.workspace_bytes == WORKSPACE_BYTES
    graphs.close()


def test_no_stream_is_shared_when_the_pool_wraps_around(cuda):
    kept, replays = capture(cuda)
    for _ in range(STREAMS_PER_POOL):
        capture(cuda)[0].close()
    replay(replays)
    others = [capture(cuda) for _ in range(STREAMS_PER_POOL - 1)]
    with pytest.raises(Skip, match="32 jobs"):
        Graphs(FIRST)
    kept.close()
    replay(Graphs(FIRST).capture([cuda.gemm]))
    for _, each in others:
        replay(each)


def test_a_failed_capture_reports_the_first_error_and_restores_the_stream(cuda):
    def wrong_device():
        if cuda.capturing:
            cuda.gemm(1)

    with pytest.raises(BenchError, match="depend on a capture"):
        Graphs(FIRST).capture([wrong_device])
    assert cuda.streams[0].cuda_stream == 0
    replay(capture(cuda)[1])


def test_memory_that_runs_out_during_a_capture_stays_that_error(cuda):
    def allocate():
        if cuda.capturing:
            cuda.capturing.invalid = True
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    with pytest.raises(torch.OutOfMemoryError, match=r"2\.00 GiB"):
        Graphs(FIRST).capture([allocate])


def test_a_failed_reset_leaves_no_graph_behind(cuda):
    graphs, _ = capture(cuda, turns=3)
    cuda.fail_reset = True
    with pytest.raises(RuntimeError, match="unspecified launch failure"):
        graphs.close()
    assert cuda.workspace_bytes == 0
    graphs.close()

"""What programs do that mind no rule but MPI's: all of it must come out right. One group; every rank does the same."""

import gc
import os
import threading

import mlx.nn as nn
from group import bits, group, mx, rank, size
from mlx.nn.layers.distributed import shard_linear
from mlx.utils import tree_flatten

dist = mx.distributed


def groups_dropped_while_their_calls_are_queued():
    groups = [group.split(0) for _ in range(40)]
    sums = [dist.all_sum(mx.full((i + 1,), 1.0), group=one) for i, one in enumerate(groups)]
    del groups
    mx.async_eval(sums)
    gc.collect()
    assert all(one[0].item() == size for one in sums)
    sums = []
    for i in range(60):
        sums.append(dist.all_sum(mx.full((2000,), float(i)), group=group.split(0)))
        mx.async_eval(sums[-1])
    assert [one[0].item() for one in sums] == [i * size for i in range(60)]


def groups_made_anew_leave_nothing():
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for i in range(200):
        part = group.split(rank % 2 if i % 2 else 0, size - rank)
        mx.eval(dist.all_sum(mx.array(1.0), group=part))
    del part
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before + 2 * size, os.listdir("/proc/self/fd")


def a_part_outlives_what_it_was_split_from():
    whole = group.split(0)
    part = whole.split(0)
    del whole
    for _ in range(20):
        group.split(1)
    assert dist.all_sum(mx.array(1), group=part).item() == size


def graphs_without_eval():
    value = mx.ones((100,)) * (rank + 1)
    first = dist.all_sum(value)
    gathered = dist.all_gather(first[:2])
    last = dist.all_sum(dist.all_max(gathered + rank)) + first.sum()
    total = size * (size + 1) / 2
    assert last[0].item() == size * (total + size - 1) + 100 * total
    sums = [dist.all_sum(mx.full((i + 1,), float(rank + i))) for i in range(150)]
    mx.eval(sums)
    assert [one[0].item() for one in sums] == [size * i + size * (size - 1) // 2 for i in range(150)]
    chained = mx.ones((64,))
    for _ in range(300):
        chained = dist.all_sum(chained) / size
        mx.async_eval(chained)
    assert mx.allclose(chained, mx.ones((64,))).item()


def derivatives_and_layers():
    value = mx.ones((3, 4)) * (rank + 1)
    mx.eval(mx.grad(lambda x: dist.all_sum(x * x).sum())(value))
    mapped = mx.vmap(dist.all_sum)(value)
    assert mapped[0, 0].item() == size * (size + 1) / 2
    mx.random.seed(1)
    up, down = nn.Linear(96, 192), nn.Linear(192, 96)
    given = mx.random.normal((5, 96))
    whole = down(nn.relu(up(given)))
    cut = shard_linear(down, "sharded-to-all")(nn.relu(shard_linear(up, "all-to-sharded")(given)))
    assert mx.allclose(whole, cut, atol=1e-4).item()


def training():
    mx.random.seed(7)
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1))
    loss = nn.value_and_grad(model, lambda m, x, y: ((m(x) - y) ** 2).mean())
    for step in range(20):
        mx.random.seed(100 * rank + step)
        given = mx.random.normal((8, 16))
        _, gradients = loss(model, given, given.sum(-1, keepdims=True))
        gradients = nn.average_gradients(gradients)
        model.update(nn.utils.tree_map(lambda p, g: p - 0.01 * g, model.parameters(), gradients))
        mx.eval(model.parameters())
    weights = mx.concatenate([one.reshape(-1) for _, one in tree_flatten(model.parameters())])
    everybodys = dist.all_gather(weights.reshape(1, -1))
    assert all(bits(one) == bits(weights) for one in everybodys), "the ranks' weights differ"


def threads_with_a_group_each():
    groups, failures = [group.split(0) for _ in range(3)], []

    def work(which):
        try:
            for i in range(100):
                got = dist.all_sum(mx.full((which * 100 + 1,), float(rank + i)), group=groups[which])
                assert got[0].item() == size * i + size * (size - 1) / 2
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(which,)) for which in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def a_message_goes_round():
    after, before = (rank + 1) % size, (rank - 1) % size
    for count in (1, 1000, 1_000_000):
        if rank == 0:
            mx.eval(dist.send(mx.zeros((count,)), after))
            assert dist.recv((count,), mx.float32, before)[-1].item() == size * (size - 1) / 2
        else:
            mx.eval(dist.send(dist.recv((count,), mx.float32, before) + rank, after))
    mx.eval(dist.send(mx.arange(5), rank))
    assert mx.all(dist.recv((5,), mx.int32, rank) == mx.arange(5)).item()


def forked_children_are_no_ranks():
    child = os.fork()
    if child == 0:
        try:
            group.split(0)
        except RuntimeError as error:
            os._exit(0 if "forked off a rank" in str(error) else 1)
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert dist.all_sum(mx.array(1)).item() == size


def not_a_number_is_the_same_everywhere():
    value = mx.array([float("nan") if rank == 0 else 1.0, float("inf"), -0.0 if rank == 0 else 0.0])
    for call in (dist.all_sum, dist.all_max, dist.all_min):
        everybodys = dist.all_gather(call(value).view(mx.uint32).reshape(1, -1))
        assert all(bits(one) == bits(everybodys[0]) for one in everybodys), call


if __name__ == "__main__":
    assert mx.distributed.init().size() == mx.distributed.init(backend="any").size() == size
    with mx.stream(mx.cpu):
        for part in (
            groups_dropped_while_their_calls_are_queued,
            groups_made_anew_leave_nothing,
            a_part_outlives_what_it_was_split_from,
            graphs_without_eval,
            derivatives_and_layers,
            training,
            threads_with_a_group_each,
            a_message_goes_round,
            not_a_number_is_the_same_everywhere,
            forked_children_are_no_ranks,
        ):
            part()
            print(f"passed {part.__name__}", flush=True)
    print("all passed")

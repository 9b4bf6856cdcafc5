"""A rank that dies or stops in the midst of a generation raises on the others within 2 s."""

import os
import signal
import tempfile
import threading
import time

from harness import Ranks, TestCase

# By contract; a peer that is silent is given up after 1.5 s.
WITHIN_S = 2.0


class Lateness:
    """How late this machine wakes who sleeps, at worst. A rank that hears of a death wakes a few threads in turn."""

    HANDOVERS = 10
    STEP_S = 0.01

    def __enter__(self):
        self.worst_s, self._over = 0.0, threading.Event()
        self._watch = threading.Thread(target=self._measure)
        self._watch.start()
        return self

    def _measure(self):
        while not self._over.is_set():
            before = time.monotonic()
            time.sleep(self.STEP_S)
            self.worst_s = max(self.worst_s, time.monotonic() - before - self.STEP_S)

    def __exit__(self, *_):
        self._over.set()
        self._watch.join()

    def allowance(self):
        return self.HANDOVERS * self.worst_s


class Failures(TestCase):
    def in_time(self, struck, raised, late, text):
        self.assertLess(float(raised) - struck, WITHIN_S + late.allowance(), text)

    def raises(self, ranks, victim, how, code, **env):
        with Ranks("generate_for_ever.py", ranks, env=env) as group, Lateness() as late:
            for rank in range(ranks):
                group.line(rank, "generating")
            struck = time.time()
            group.processes[victim].send_signal(how)
            for rank in set(range(ranks)) - {victim}:
                when, _, text = group.line(rank, "raised").partition(" ")
                self.in_time(struck, when, late, text)
                self.assertIn(f"[espalier] {code}: rank {victim} of {ranks}", text)
                self.assertIn(code, group.line(rank, "again"))
                self.assertLess(float(group.line(rank, "burnt")), 0.1)
                self.assertEqual(group.ends(rank), 0, group.text())

    def test_rank_1_is_killed(self):
        self.raises(2, 1, signal.SIGKILL, "PeerLost")

    def test_rank_0_is_killed(self):
        self.raises(2, 0, signal.SIGKILL, "PeerLost")

    def test_rank_1_is_stopped(self):
        self.raises(2, 1, signal.SIGSTOP, "PeerStopped")

    def test_rank_0_is_stopped_over_tcp(self):
        self.raises(2, 0, signal.SIGSTOP, "PeerStopped", ESPALIER_LINKS="tcp")

    def test_one_of_four_is_killed_over_tcp(self):
        self.raises(4, 2, signal.SIGKILL, "PeerLost", ESPALIER_LINKS="tcp")

    def test_ranks_that_call_different_things(self):
        sent = "rank 0 called send #0 of 400 bytes Uint8 where rank 1 called recv #0 of 404 bytes"
        for how, told in (("sum", "of 404 bytes Float32 Sum"), ("message", sent)):
            with self.subTest(how=how), Ranks("mismatch.py", 2, how) as group:
                for rank in range(2):
                    raised = group.line(rank, "raised")
                    self.assertIn("[espalier] PeerMismatch", raised)
                    self.assertIn(told, raised)
                    self.assertEqual(group.ends(rank), 0)

    def test_a_rank_that_ends_its_program(self):
        """By exit, by an exception, by a crash: the other raises, goes on with other work, and ends in order."""
        for how, code, told in (("exit", 5, "PeerLeft"), ("raise", 1, "PeerLeft"), ("abort", -6, "PeerLost")):
            with self.subTest(how=how), Ranks("ends.py", 2, how) as group, Lateness() as late:
                ended = float(group.line(1, "ends"))
                when, _, text = group.line(0, "raised").partition(" ")
                self.in_time(ended, when, late, text)
                self.assertIn(f"[espalier] {told}: rank 1", text)
                self.assertEqual(group.line(0, "other work"), "125000.0")
                self.assertEqual([group.ends(0), group.ends(1)], [0, code])

    def test_two_streams_that_could_swap_their_data(self):
        with Ranks("two_streams.py", 2) as group:
            for rank in range(2):
                self.assertIn("a group of its own (Group.split)", group.line(rank, "raised"))
                if rank == 0:
                    group.processes[1].send_signal(signal.SIGUSR1)
                self.assertEqual(group.ends(rank), 0, group.text())

    def test_a_rank_that_ends_in_the_midst_of_a_call(self):
        """Its peer never comes: the end of the program does not wait for it without end."""
        with Ranks("never_comes.py", 2) as group:
            self.assertEqual(group.ends(0), 0, group.text())
            group.processes[1].send_signal(signal.SIGUSR1)
            self.assertIn("finished its program in the midst of a call", group.line(1, "raised"))
            self.assertEqual(group.ends(1), 0)

    def test_nothing_is_left_behind(self):
        before = shared_memory()
        with tempfile.TemporaryDirectory() as folder:
            self.raises(2, 1, signal.SIGKILL, "PeerLost", TMPDIR=folder, XDG_RUNTIME_DIR=folder)
            self.assertEqual(os.listdir(folder), [])
        self.assertEqual(shared_memory() - before, set())


def shared_memory():
    """Segments with a name of ours. Linux should need none: memory without a name ends with its processes."""
    folder = "/dev/shm"
    return {name for name in os.listdir(folder) if name.startswith("espalier")} if os.path.isdir(folder) else set()

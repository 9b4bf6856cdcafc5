"""A rank that dies or stops in the midst of a generation raises on the others within 2 s."""

import os
import signal
import time

from harness import Ranks, TestCase

# 1.5 s by default, 2 s at most by contract; the rest is for a machine that does other things too.
WITHIN_S = 2.5


class Failures(TestCase):
    def raises(self, ranks, victim, how, code, **env):
        with Ranks("generate_for_ever.py", ranks, env=env) as group:
            for rank in range(ranks):
                group.line(rank, "generating")
            struck = time.time()
            group.processes[victim].send_signal(how)
            for rank in set(range(ranks)) - {victim}:
                when, _, text = group.line(rank, "raised", 10).partition(" ")
                self.assertLess(float(when) - struck, WITHIN_S, text)
                self.assertIn(f"[espalier] {code}: rank {victim} of {ranks}", text)
                self.assertIn(code, group.line(rank, "again", 10))
                self.assertLess(float(group.line(rank, "burnt", 10)), 0.1)
                self.assertEqual(group.ends(rank, 10), 0, group.text())

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
        with Ranks("mismatch.py", 2) as group:
            for rank in range(2):
                self.assertIn("[espalier] PeerMismatch", group.line(rank, "raised", 20))
                self.assertEqual(group.ends(rank, 10), 0)

    def test_a_rank_that_ends_its_program(self):
        """By exit, by an exception, by a crash: the other raises, goes on with other work, and ends in order."""
        for how, code, told in (("exit", 5, "PeerLeft"), ("raise", 1, "PeerLeft"), ("abort", -6, "PeerLost")):
            with self.subTest(how=how), Ranks("ends.py", 2, how) as group:
                ended = float(group.line(1, "ends"))
                when, _, text = group.line(0, "raised", 10).partition(" ")
                self.assertLess(float(when) - ended, WITHIN_S, text)
                self.assertIn(f"[espalier] {told}: rank 1", text)
                self.assertEqual(group.line(0, "other work", 10), "125000.0")
                self.assertEqual([group.ends(0, 10), group.ends(1, 10)], [0, code])

    def test_two_streams_that_could_swap_their_data(self):
        with Ranks("two_streams.py", 2) as group:
            for rank in range(2):
                self.assertIn("a group of its own (Group.split)", group.line(rank, "raised", 60))
                if rank == 0:
                    group.processes[1].send_signal(signal.SIGUSR1)
                self.assertEqual(group.ends(rank, 10), 0, group.text())

    def test_a_rank_that_ends_in_the_midst_of_a_call(self):
        """Its peer never comes: the end of the program does not wait for it without end."""
        with Ranks("never_comes.py", 2) as group:
            self.assertEqual(group.ends(0, 30), 0, group.text())
            group.processes[1].send_signal(signal.SIGUSR1)
            self.assertIn("finished its program in the midst of a call", group.line(1, "raised", 10))
            self.assertEqual(group.ends(1, 10), 0)

    def test_nothing_is_left_behind(self):
        before = leftovers()
        self.raises(2, 1, signal.SIGKILL, "PeerLost")
        self.assertEqual(leftovers() - before, set())


def leftovers():
    folders = ["/dev/shm", os.environ.get("XDG_RUNTIME_DIR") or "/tmp"]
    return {
        f"{folder}/{name}"
        for folder in folders
        if os.path.isdir(folder)
        for name in os.listdir(folder)
        if name.startswith("espalier") and not name.startswith("espalier-mlx-")
    }

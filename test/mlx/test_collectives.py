"""What mx.distributed computes over our library is what numpy computes, to the bit."""

from harness import TestCase, run


class Collectives(TestCase):
    def agree(self, ranks, **env):
        for rank, lines in enumerate(run("collectives.py", ranks, env=env)):
            self.assertRegex(lines[-1], "^checks [0-9]{4}", f"rank {rank}: {lines}")

    def test_two_ranks_over_shared_memory(self):
        self.agree(2, ESPALIER_LINKS="shm")

    def test_two_ranks_over_tcp(self):
        self.agree(2, ESPALIER_LINKS="tcp")

    def test_three_ranks(self):
        self.agree(3)

    def test_four_ranks(self):
        self.agree(4)

    def test_four_ranks_on_two_hosts(self):
        """Two pairs that share memory, joined by TCP."""
        with_hosts = ["a", "a", "b", "b"]
        lines = run("collectives.py", 4, per_rank=[{"ESPALIER_HOST_ID": h} for h in with_hosts])
        self.assertRegex(lines[0][-1], "^checks")


class Programs(TestCase):
    def test_unruly_programs(self):
        for ranks, links in ((2, "shm"), (3, "tcp"), (4, "shm,tcp")):
            with self.subTest(ranks=ranks, links=links):
                for lines in run("hostile.py", ranks, env={"ESPALIER_LINKS": links}):
                    self.assertEqual(lines[-1], "all passed", lines)


class Ending(TestCase):
    def test_a_call_still_queued_when_the_program_ends_is_served(self):
        lines = run("ends_early.py", 2)
        self.assertEqual([["left"], ["left", "sum 2048.0"]], lines)

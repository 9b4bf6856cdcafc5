"""mlx-lm's pipelines: each rank holds some layers, and sends what they make to the next (send, recv, all_gather)."""

from harness import Ranks, TestCase


class Pipeline(TestCase):
    def same_as_alone_until_a_stage_dies(self, ranks, victim):
        with Ranks("pipeline.py", ranks) as group:
            for rank in range(ranks):
                self.assertEqual(group.line(rank, "spread"), group.line(rank, "alone"))
            group.processes[victim].kill()
            for rank in set(range(ranks)) - {victim}:
                self.assertIn(f"[espalier] PeerLost: rank {victim} of {ranks}", group.line(rank, "raised"))
                self.assertEqual(group.ends(rank), 0, group.text())

    def test_two_stages(self):
        self.same_as_alone_until_a_stage_dies(2, victim=1)

    def test_three_stages(self):
        self.same_as_alone_until_a_stage_dies(3, victim=0)

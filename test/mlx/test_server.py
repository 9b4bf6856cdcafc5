"""mlx_lm.server, unmodified, answers with its model cut across two ranks."""

import json
import time
import urllib.error
import urllib.request

from harness import PATIENCE_S, SPROUT, Ranks, TestCase, free_ports


def ask(port, path, body):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
        return json.load(response)


class Server(TestCase):
    def test_chat_completions_alone_and_together(self):
        (port,) = free_ports(1)
        question = {"messages": [{"role": "user", "content": "The old man"}], "max_tokens": 12}
        arguments = ("--model", SPROUT, "--port", port, "--temp", 0)
        with Ranks("mlx_lm.server", 2, *arguments) as group:
            deadline = time.monotonic() + PATIENCE_S
            while True:
                try:
                    first = ask(port, "/v1/chat/completions", question)
                    break
                except urllib.error.URLError:
                    if time.monotonic() > deadline or group.processes[0].poll() is not None:
                        raise AssertionError(f"no answer:\n{group.text()}") from None
                    time.sleep(0.1)
            self.assertTrue(first["choices"][0]["message"]["content"], first)
            # Between requests the ranks idle in a collective, ten times a second.
            time.sleep(1)
            second = ask(port, "/v1/chat/completions", question)
            self.assertEqual(
                first["choices"][0]["message"]["content"],
                second["choices"][0]["message"]["content"],
            )

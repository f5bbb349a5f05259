"""Scoring by a language model: wall time over the ideal, against an endpoint of a known latency.

    python -m burnish.benchmarks.performance.llm --items 1000 --latency 0.2 --concurrency 16

The endpoint is a server on loopback, in a process of its own, that answers every request rightly after `--latency`
seconds.  The ideal is the number of rounds, requests over concurrency, times the latency.  Each run has a fresh
ledger, client and connections; the first one also loads the openai package.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import socket
import tempfile
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path

from rich.console import Console
from rich.table import Table

from burnish.enhancers.guided.attributes import load_schema
from burnish.enhancers.guided.scorers.llm import LLMScorer
from burnish.enhancers.guided.scorers.protocol import Texts

console = Console()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    latency: float = 0.0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, *args: object) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        """A 5 on every attribute of every item, after the latency."""
        due = time.perf_counter() + self.server.latency
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        schema = body["response_format"]["json_schema"]["schema"]
        names = schema["$defs"]["scores"]["required"]
        content = json.dumps({key: dict.fromkeys(names, 5) for key in schema["required"]})
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        answer = json.dumps(
            {"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage}
        ).encode()
        time.sleep(max(0.0, due - time.perf_counter()))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        self.wfile.flush()


def serve(latency: float, told: Connection) -> None:
    """The endpoint; tells its port."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.latency = latency
    told.send(server.server_address[1])
    server.serve_forever()


def overhead(options: argparse.Namespace, port: int) -> list[tuple[float, float]]:
    """Seconds of each run, and those of processor time."""
    schema = load_schema("films")
    ids = tuple(str(number) for number in range(options.items))
    texts = Texts(ids, {"title": tuple(f"Film {i} (1995)" for i in ids), "genre": ("Drama",) * options.items})
    seconds = []
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory() as folder:
            scorer = LLMScorer(
                model="m",
                base_url=f"http://127.0.0.1:{port}/v1",
                api_key_env="BURNISH_NO_KEY",
                ledger=Path(folder) / "ledger.sqlite",
                items_per_request=options.items_per_request,
                concurrency=options.concurrency,
                prompts=1,
            )
            start, busy = time.perf_counter(), time.process_time()
            scores = scorer.score(texts, schema)
            seconds.append((time.perf_counter() - start, time.process_time() - busy))
            assert bool((scores.values == 5).all())
    return seconds


def wait_for(port: int) -> None:
    """Return when the endpoint takes connections."""
    socket.create_connection(("127.0.0.1", port), timeout=30).close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table: seconds, and seconds over the ideal."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--items-per-request", type=int, default=10)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args(arguments)

    here, there = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(options.latency, there), daemon=True
    )
    server.start()
    try:
        port = here.recv()
        wait_for(port)
        seconds = overhead(options, port)
    finally:
        server.terminate()
        server.join()
    requests = math.ceil(options.items / options.items_per_request)
    ideal = math.ceil(requests / options.concurrency) * options.latency
    table = Table(
        title=f"{options.items:,} items, {requests:,} requests, {options.concurrency} at once: {ideal:.2f} s"
    )
    for heading in ("run", "s", "over the ideal", "CPU s"):
        table.add_column(heading, justify="right")
    for number, (value, busy) in enumerate(seconds, start=1):
        note = " (loads openai)" if number == 1 else ""
        table.add_row(f"{number}{note}", f"{value:.2f}", f"{value / ideal:.2f}", f"{busy:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()

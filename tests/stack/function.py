"""Starts the built function as Lambda does."""

import json
import os
import queue
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from local import ACCOUNT, REGION, running, until


@contextmanager
def function(folder, command):
    """Yields a function that invokes it with an event and returns the answer and the lines logged meanwhile."""
    log = folder / "function.log"
    with runtime_api() as (address, events, answers):
        env = os.environ | {
            "AWS_LAMBDA_RUNTIME_API": address,
            "AWS_LAMBDA_FUNCTION_NAME": "spot-interruption-handler",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
        }
        with running(command, log, env) as process:

            def invoke(event):
                before = log.stat().st_size
                events.put(event)
                answer = until("the function", process, lambda: None if answers.empty() else answers.get())
                return answer, log.read_bytes()[before:].decode().splitlines()

            yield invoke


@contextmanager
def runtime_api():
    """Yields the address of a Lambda Runtime API, the queue of events that it hands out, and the queue of answers."""
    events, answers = queue.Queue(), queue.Queue()

    class Api(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            # Blocks until there is an event, as Lambda does.
            body = json.dumps(events.get()).encode()
            self.send_response(200)
            self.send_header("Lambda-Runtime-Aws-Request-Id", "1")
            self.send_header("Lambda-Runtime-Deadline-Ms", str(round((time.time() + 60) * 1000)))
            self.send_header("Lambda-Runtime-Invoked-Function-Arn", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with served(Api) as address:
        yield address, events, answers


@contextmanager
def served(handler):
    """Yields the address of a server on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()

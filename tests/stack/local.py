"""Helpers for all scripts: processes that end with the script, sample events, and a table of results."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The path is not resolved: in a virtual environment the interpreter is a link, and the tools are next to the link.
TOOLS = Path(sys.executable).parent

# The account and Region of the sample events and of the stand-in.
ACCOUNT = "123456789012"
REGION = "us-east-2"


def environment(endpoint):
    """An environment in which AWS clients can reach nothing but an emulator.

    ministack treats an access key of twelve digits as the account.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAM_CLI_TELEMETRY": "0",
    }


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def scratch():
    with tempfile.TemporaryDirectory(prefix="spot-interruption-handler-") as path:
        yield Path(path)


@contextmanager
def running(command, log, env=None):
    """Runs a process until the block ends. Its output goes to a file, and is shown if the block fails."""
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command], stdout=output, stderr=output, env=env, start_new_session=True
        )
    try:
        yield process
    except Exception:
        print(f"--- end of the output of {command[0]}", log.read_text(errors="replace")[-4000:], "---", sep="\n")
        raise
    finally:
        end(process)


def end(process):
    """Ends a process and its children, which share a process group."""
    for number in signal.SIGTERM, signal.SIGKILL:
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=5)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def until(what, process, ready, seconds=60):
    """Waits until `ready()` returns something truthy, and returns that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{what} ended with {process.returncode}")
        if answer := ready():
            return answer
        time.sleep(0.1)
    raise RuntimeError(f"{what} was not ready within {seconds} s")


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def start_standin(stack, folder, command):
    log = folder / "standin.log"
    process = stack.enter_context(running(command, log))

    def first_line():
        line, end, _ = log.read_text().partition("\n")
        return line if end else None

    return json.loads(until("the stand-in", process, first_line))["url"]


def samples():
    return {path.name: path.read_text() for path in sorted((ROOT / "events").glob("*.json"))}


def expectations():
    return json.loads((ROOT / "tests/expected.json").read_text())


class Checks:
    """Prints a row for each comparison and counts the failures."""

    def __init__(self):
        self.made = 0
        self.failed = 0

    def heading(self, text):
        print(f"\n{text}", flush=True)

    def same(self, what, expected, found):
        self.made += 1
        if expected == found:
            print(f"  ok      {what:<44} {short(found)}", flush=True)
        else:
            self.failed += 1
            print(f"  FAILED  {what:<44} expected {short(expected)}, found {short(found)}", flush=True)

    def done(self):
        print(f"\n{self.made} checks, {self.failed} failed", flush=True)
        sys.exit(1 if self.failed else 0)


def short(value):
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def end_with_the_script():
    """Makes a termination signal unwind the stack, so that all processes end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

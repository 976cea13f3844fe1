# What the conformance scripts share: where the data is, asking `portcullis auth batch`, and the list of known differences.
import json
import os
import pathlib
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
DATA = SOURCE / "tests" / "data" / "conformance"
PORTCULLIS = pathlib.Path(os.environ.get("PORTCULLIS_BUILD", SOURCE / "build" / "release")) / "portcullis"


def need(folder):
    """The folder of a suite."""
    path = DATA / folder
    if not path.exists():
        sys.exit(f"{path} is not there")
    return path


def batch(requests):
    """Sends a list of request objects (with ids); gives the answers by id."""
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run([PORTCULLIS, "auth", "batch", "-"], input=lines.encode(), capture_output=True, timeout=280)
    if done.returncode != 0:
        sys.exit(f"auth batch ended with {done.returncode}: {done.stderr.decode(errors='replace')[:2000]}")
    answers = [json.loads(line) for line in done.stdout.decode().splitlines()]
    return {answer["id"]: answer for answer in answers}


def write_message(folder, name, text):
    """Stores a message with CRLF line ends; gives its path."""
    octets = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    octets = octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    path = pathlib.Path(folder) / name
    path.write_bytes(octets)
    return str(path)


def scratch():
    return tempfile.TemporaryDirectory(prefix="portcullis-conformance-")


class Score:
    """Counts cases of one file; differences must be in the skip list, and skips must still differ."""

    def __init__(self, file):
        self.file, self.passed, self.failures, self.skips = file, 0, [], {}
        for line in (SOURCE / "tests/data/conformance_skips.txt").read_text().splitlines():
            if line and not line.startswith("#"):
                of, case, *reason = line.split("\t")
                if of == file:
                    self.skips[case] = reason

    def case(self, name, right, detail):
        if name in self.skips:
            if right:
                self.failures.append(f"{name}: is in the skip list and passes")
            return
        if right:
            self.passed += 1
        else:
            self.failures.append(f"{name}: {detail}")

    def done(self):
        print(f"{self.file}: {self.passed} right, {len(self.failures)} wrong, {len(self.skips)} in the skip list")
        for failure in self.failures:
            print("  WRONG", failure)
        return not self.failures and self.passed > 0


def finish(scores):
    sys.exit(0 if all([score.done() for score in scores]) else 1)

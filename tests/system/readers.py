"""readers: what mail readers show as the author of a message: Python's email (both policies), npm's mailparser and postal-mime."""

import base64
import email
import email.policy
import email.utils
import json
import os
import pathlib
import re
import shutil
import subprocess

FOLDER = pathlib.Path(__file__).resolve().parent


def node_modules():
    """A folder with mailparser and postal-mime, or why there is none. Nothing is fetched."""
    if not shutil.which("node"):
        return None, "node is not installed"
    fetched = FOLDER.parents[1] / "build/peers/node/node_modules"  # by ./test, where npm is there
    for place in (os.environ.get("PORTCULLIS_NODE_MODULES", ""), str(fetched), *os.environ.get("NODE_PATH", "").split(":")):
        if place and all((pathlib.Path(place) / name / "package.json").exists() for name in ("mailparser", "postal-mime")):
            return place, None
    return None, ("mailparser and postal-mime are not installed; ./test fetches them where npm is there; or npm install mailparser "
                  "postal-mime, and name their node_modules in PORTCULLIS_NODE_MODULES")


def python_shows(message):
    """The author's addresses by the old and by the new interface of Python's email; what the new one cannot read it does not show."""
    old = email.message_from_bytes(message)
    shown = {"python": [address for _, address in email.utils.getaddresses([str(value) for value in old.get_all("from", [])])]}
    try:
        new = email.message_from_bytes(message, policy=email.policy.default)
        shown["python.policy"] = [one.addr_spec for value in new.get_all("from", []) for one in value.addresses]
    except Exception:  # noqa: BLE001  (its parser fails on some groups: such a reader shows nothing)
        shown["python.policy"] = []
    return shown


def shown_authors(messages):
    """One dict for each message: reader -> addresses. Without npm's packages only Python's, and it is said."""
    shown = [python_shows(message) for message in messages]
    place, reason = node_modules()
    if place is None:
        print(f"only Python's email reads the messages: {reason}")
        return shown
    lines = b"".join(base64.b64encode(message) + b"\n" for message in messages)
    done = subprocess.run(["node", str(FOLDER / "authors_shown.js"), place], input=lines, capture_output=True, check=True)
    rows = done.stdout.decode().splitlines()
    assert len(rows) == len(messages), f"{len(rows)} answers for {len(messages)} messages: {done.stderr.decode()[:500]}"
    for one, row in zip(shown, rows):
        one.update(json.loads(row))
    return shown


def domains(addresses):
    """The domains that a person reads there; an address without "@" names none."""
    found = set()
    for address in addresses:
        if "@" in address:
            domain = address.rsplit("@", 1)[1].split("(")[0]  # a comment that a reader leaves there
            # Nor is what stands behind its end, unless that could be read for more of it.
            domain = re.sub(r"[\s<>'\"\]);,]+[^.@]*$", "", domain).strip().rstrip(".").lower()
            if domain:
                found.add(domain)
    return found

"""name_server: a real DNS server (knot) with zones given as text, on a free port of loopback."""

import pathlib
import shutil
import signal
import socket
import subprocess

from loopback import Failure, current_user, free_port, stop_process, wait_until


class Knot:
    """A real DNS server with the zones given: {"example": "@ SOA …\n…"}; names without zones are refused."""

    def __init__(self, folder, zones, address="127.0.0.1", signed=()):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.address, self.port = address, free_port(address)
        config = [f"server:\n    rundir: {self.folder}\n    listen: {address}@{self.port}\n    user: {current_user()}\n",
                  f"database:\n    storage: {self.folder}\n", "log:\n  - target: stderr\n    any: warning\n", "zone:\n"]
        for name, text in zones.items():
            file = self.folder / f"{name}.zone"
            file.write_text(f"$ORIGIN {name}.\n$TTL 60\n@ SOA ns.{name}. host.{name}. 1 60 60 60 60\n@ NS ns.{name}.\n"
                            f"ns A 127.0.0.1\n{text}\n")
            config.append(f"  - domain: {name}\n    file: {file}\n    zonefile-load: whole\n" +
                          ("    dnssec-signing: on\n" if name in signed else ""))
        file = self.folder / "knot.conf"
        file.write_text("".join(config))
        self.log = open(self.folder / "knot.log", "w", encoding="utf-8")
        self.process = subprocess.Popen([knotd(), "-c", str(file)], stdout=self.log, stderr=self.log)
        wait_until(self._answers, 15, f"knotd answers on port {self.port}; see {self.folder}/knot.log")

    def _answers(self):
        if self.process.poll() is not None:
            raise Failure("knotd ended: " + (self.folder / "knot.log").read_text())
        query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x00\x00\x06\x00\x01"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(0.2)
            try:
                client.sendto(query, (self.address, self.port))
                return len(client.recv(4096)) > 12
            except OSError:
                return False

    def trust_anchor(self, zone):
        """The DS record of a signed zone, as a resolver's trust anchor."""
        tool = shutil.which("keymgr") or shutil.which("keymgr", path="/usr/sbin:/sbin")
        def records():
            done = subprocess.run([tool, "-c", str(self.folder / "knot.conf"), zone, "ds"], capture_output=True, text=True, check=False)
            return [line for line in done.stdout.splitlines() if " DS " in line]
        return wait_until(records, 15, f"the zone {zone} has a key; see {self.folder}/knot.log")[0]

    def pause(self):
        """Stops answering, as a dead server does."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        self.go_on()
        stop_process(self.process)
        self.log.close()


def knotd():
    """The path of knotd, or a Failure."""
    path = shutil.which("knotd") or shutil.which("knotd", path="/usr/sbin:/sbin")
    if not path:
        raise Failure("knotd is not installed (package knot)")
    return path

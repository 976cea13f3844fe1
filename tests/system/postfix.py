"""postfix: a real Postfix in a folder of its own, as client and server, for the system tests and the comparison."""

import os
import pathlib
import shutil
import subprocess

from harness import Failure, free_port, need, skip, wait_until

MASTER = """
127.0.0.1:{port} inet n - n - {processes} smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
local     unix  - n n - - local
virtual   unix  - n n - - virtual
lmtp      unix  - - n - - lmtp
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """`settings` are lines of main.cf. Needs root, as Postfix does."""

    def __init__(self, folder, settings=(), processes=200):
        if os.getuid() != 0:
            skip("Postfix can only be started by root")
        need("postfix")
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        for name in ("etc", "queue", "data", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        path = self.folder
        while path != path.parent and os.stat(path).st_uid == os.getuid():  # Postfix's users must be able to pass
            if not os.stat(path).st_mode & 0o001:
                path.chmod(0o755)
            path = path.parent
        shutil.chown(self.folder / "data", "postfix")
        main = [f"queue_directory = {self.folder}/queue", f"data_directory = {self.folder}/data", "compatibility_level = 3.7",
                "myhostname = postfix.example", "mydestination =", "inet_interfaces = 127.0.0.1", "inet_protocols = ipv4",
                "mynetworks = 127.0.0.0/8", "smtpd_recipient_restrictions = permit_mynetworks, reject", "alias_maps =",
                "alias_database =", f"maillog_file = {self.folder}/log/maillog", f"maillog_file_prefixes = {self.folder}/log, /var, /dev/stdout",
                "smtp_address_preference = ipv4", "disable_dns_lookups = yes", "smtp_dns_support_level = disabled",
                "smtputf8_enable = yes", "authorized_submit_users = static:anyone", "multi_instance_enable = yes",
                f"process_id_directory = pid", *settings]
        (self.folder / "etc" / "main.cf").write_text("\n".join(main) + "\n")
        (self.folder / "etc" / "master.cf").write_text(MASTER.format(port=self.port, processes=processes).strip() + "\n")
        self._run("start")
        self.pid = int(wait_until(lambda: (self.folder / "queue" / "pid" / "master.pid").exists() and
                                  (self.folder / "queue" / "pid" / "master.pid").read_text().strip(), 20, "Postfix starts: " + self.log()))

    def _run(self, *arguments):
        done = self._program("postfix", *arguments)
        if done.returncode != 0:
            raise Failure(f"postfix {arguments}: {done.stdout}{done.stderr}{self.log()}")
        return done.stdout

    def _program(self, *command):
        """With this configuration alone: the machine need not have one in /etc/postfix."""
        return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
                              env={**os.environ, "MAIL_CONFIG": str(self.folder / "etc")})

    def log(self):
        file = self.folder / "log" / "maillog"
        return file.read_text(errors="replace") if file.exists() else ""

    def processes(self):
        """Process ids of the master and all that it started."""
        pids, parents = [], {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                        parents[int(entry)] = int(file.read().rsplit(")", 1)[1].split()[1])
                except OSError:
                    continue
        for pid, parent in parents.items():
            if pid == self.pid or parent == self.pid:
                pids.append(pid)
        return pids

    def queued(self):
        return len(self._program("postqueue", "-j").stdout.splitlines())

    def stop(self):
        self._program("postfix", "stop")
        wait_until(lambda: not os.path.exists(f"/proc/{self.pid}") or self._is_zombie(), 30, "Postfix stops")

    def _is_zombie(self):
        try:
            with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as file:
                return file.read().rsplit(")", 1)[1].split()[0] == "Z"
        except OSError:
            return True

"""numbered_load: clients that send numbered messages while a daemon is killed or restarted, and know what was acknowledged."""

import random
import re
import socket
import threading
import time

SIZES = (100, 2000, 5000, 40000, 9000)


def arrived_at(receiver):
    """The numbers of the messages that a receiver has."""
    found = (re.search(rb"X-Load-Id: (\d+)", message.body) for message in list(receiver.messages))
    return {int(one.group(1)) for one in found if one}


class Load:
    """Clients that send numbered messages until told to stop, and remember which were acknowledged."""

    def __init__(self, port_of, clients=6, sizes=SIZES, recipient_of=lambda number: "user@ours.example"):
        self.port_of = port_of
        self.sizes = sizes
        self.recipient_of = recipient_of
        self.lock = threading.Lock()
        self.next = 0
        self.acknowledged = set()
        self.sent = 0
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(index,), daemon=True) for index in range(clients)]
        for thread in self.threads:
            thread.start()

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(30)

    def missing(self, *receivers):
        """Numbers that were acknowledged and did not arrive at any of them."""
        return self.acknowledged.difference(*map(arrived_at, receivers))

    def _run(self, index):
        random_size = random.Random(index)
        while not self.stop.is_set():
            port = self.port_of()
            if port is None:
                time.sleep(0.02)
                continue
            try:
                self._session(port, random_size)
            except (OSError, EOFError):
                time.sleep(0.02)

    def _session(self, port, random_size):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            file = connection.makefile("rb")

            def reply():
                while True:
                    line = file.readline()
                    if not line:
                        raise EOFError
                    if line[3:4] != b"-":
                        return int(line[:3])

            reply()
            connection.sendall(b"EHLO load.example\r\n")
            reply()
            while not self.stop.is_set():
                with self.lock:
                    number = self.next
                    self.next += 1
                size = random_size.choice(self.sizes)
                if size == 9000 and number % 40 == 0:
                    size = 600000
                body = b"X-Load-Id: %d\r\n\r\n" % number + (b"a" * 70 + b"\r\n") * (size // 72)
                connection.sendall(b"MAIL FROM:<l@there.example>\r\nRCPT TO:<%s>\r\nDATA\r\n" % self.recipient_of(number).encode())
                if (reply(), reply(), reply()) != (250, 250, 354):
                    return
                connection.sendall(body + b".\r\n")
                with self.lock:
                    self.sent += 1
                if reply() == 250:
                    with self.lock:
                        self.acknowledged.add(number)

"""submit: many messages, octet for octet, through one listener, with the reply to each."""

import smtplib

from harness import expect


class Stream:
    """Connections to a port, a new one after some refusals: a session may only make so many errors."""

    def __init__(self, port, helo="client.there.example", refusals=5):
        self.port, self.helo, self.refusals = port, helo, refusals
        self.client, self.refused = None, 0

    def send(self, message, sender="ann@strict.example", recipient="user@ours.example", options=()):
        """The reply to the message as (code, text)."""
        if self.client is None:
            self.client, self.refused = smtplib.SMTP("127.0.0.1", self.port, local_hostname=self.helo, timeout=60), 0
            self.client.ehlo()
        for code, text in (self.client.mail(sender, list(options)), self.client.rcpt(recipient)):
            expect(code == 250, f"{code} {text}")
        code, text = self.client.data(message)
        if code != 250:
            self.refused += 1
        if self.refused >= self.refusals:
            self.close()
        return code, text.decode()

    def close(self):
        if self.client is not None:
            self.client.close()
        self.client = None


def queue_id(text):
    return text.rsplit(" ", 1)[1]

"""world: a daemon with a DNS server and receiving servers around it, built from a table of fixtures."""

import dataclasses
import itertools
import json

from harness import Authority, Behaviour, Daemon, Knot, Receiver, expect, expect_equal, shared_port, wait_until

RELAY_AND_MX = """
[[listener]]
name = "mx"
addresses = ["127.0.0.1:0"]
role = "mx"

[[listener]]
name = "relay"
addresses = ["127.0.0.1:0"]
role = "relay"
trusted_networks = ["127.0.0.0/8"]

[[domain]]
domain = "ours.example"
recipients_file = "recipients"

[limits]
exempt_networks = ["127.0.0.0/8"]
connection_rate = 100000
"""

# The receivers of a test have addresses that the internet does not reach.
LOOPBACK = "allow_private_addresses = true\nallow_loopback_addresses = true\n"

# Short waits, so that a test can see a second attempt.
FAST_RETRY = """
retry = ["1s", "1s", "2s"]
jitter = 0.0
"""


@dataclasses.dataclass
class Fixture:
    """One receiving server and the domain that it serves."""

    domain: str
    behaviour: Behaviour
    partner: str = ""  # TOML of [outbound]; empty: no partner
    address: str = ""
    receiver: Receiver = None


class World:
    """`fixtures` get addresses 127.0.0.2, .3, … and share one port, which is the daemon's outbound port. Their domains lie in
    the zone "example", or in one of `signed`, which are signed by the name server and whose keys the daemon trusts; a zone
    of `bogus` is signed by a key that it does not trust. {ca} and {port} in texts are the CA's file and the shared port."""

    def __init__(self, test, fixtures=(), extra_zone="", config="", partners=None, queue="", our_route=True, start=True, outbound="",
                 build=None, authority=None, signed=(), bogus=(), zones=None, mx_port=None):
        self.authority = authority or Authority(test.folder / "ca")
        self.fixtures = {fixture.domain: fixture for fixture in fixtures}
        for fixture, number in zip(fixtures, itertools.count(2)):
            fixture.address = fixture.address or f"127.0.0.{number}"
        addresses = ["127.0.0.1"] + [fixture.address for fixture in fixtures]
        self.mx_port = mx_port or shared_port(addresses)
        texts = {"example": [extra_zone], **{zone: [] for zone in (*signed, *bogus)}}
        for zone, text in (zones or {}).items():
            texts[zone].append(text)
        all_partners = dict(partners or {})
        for fixture in fixtures:
            name, _, zone = fixture.domain.rpartition(".")
            texts[zone] += [f"{name} MX 10 mx.{name}", f"mx.{name} A {fixture.address}"]
            fixture.receiver = test.keep(Receiver(fixture.behaviour, (fixture.address, self.mx_port)))
            if fixture.partner:
                all_partners[name.replace(".", "-")] = (
                    f'name = "{name}"\ndomains = ["{fixture.domain}"]\n[outbound]\n' + fixture.partner)
        self.dns = test.keep(Knot(test.folder / "dns", {zone: "\n".join(lines).replace("{port}", str(self.mx_port))
                                                        for zone, lines in texts.items()}, signed=(*signed, *bogus)))
        self.inside = test.keep(Receiver(Behaviour(name="inside.ours.example", starttls="absent"))) if our_route else None
        folder = test.folder / "daemon"
        folder.mkdir()
        (folder / "recipients").write_text("user\nsecond.user\n")
        text = queue + RELAY_AND_MX + f'\n[dns]\nresolvers = ["127.0.0.1:{self.dns.port}"]\n'
        if signed or bogus:
            anchors = [self.dns.trust_anchor(zone) for zone in signed]
            anchors += [f"{zone}. DS 1 13 2 {'00' * 32}" for zone in bogus]
            text += f'trust_anchor = ""\nextra_anchors = {json.dumps(anchors)}\n'
        else:
            text += "dnssec = false\n"
        text += f"\n[outbound]\nport = {self.mx_port}\n{'' if 'allow_loopback_addresses' in outbound else LOOPBACK}{outbound}"
        if our_route:
            text += f'\n[[route]]\nname = "inside"\ndomains = ["ours.example"]\nhosts = ["127.0.0.1:{self.inside.port}"]\n'
        text += config
        text = text.replace("{ca}", str(self.authority.certificate)).replace("{port}", str(self.mx_port))
        all_partners = {name: body.replace("{ca}", str(self.authority.certificate)) for name, body in all_partners.items()}
        self.daemon = test.keep(Daemon(folder, text, all_partners, self.authority.issue("mx.ours.example"), start=start, build=build))
        self.replayed = True  # a test that changes the world after a delivery says False
        test.keep(self)  # so that stop() comes before that of the daemon

    def stop(self):
        self.replay()

    def replay(self):
        """Every delivery of the test once more through explain: live, and as it was recorded. The verdicts must be the same."""
        if not self.replayed or self.daemon.process is None or self.daemon.process.poll() is not None:
            return
        seen = {}
        for event in self.daemon.events("delivery"):
            if "host" in event and "@" in event["to"] and "wish" not in event and "override_by" not in event:
                seen.setdefault((event["to"], event["host"]), event)
        for (mailbox, host), event in itertools.islice(seen.items(), 100):
            told = self.daemon.command("explain", mailbox)
            rows = [row for row in told["hosts"] if row["name"].rsplit(":", 1)[0] == host or row["name"] == host]
            expect(rows, f"explain {mailbox} knows {host}: {[row['name'] for row in told['hosts']]}")
            expect(rows[0]["decision"], f"explain {mailbox} decides for {host}: {rows[0]}")
            decided = rows[0]["decision"]["requirement"]
            expect_equal((decided["level"], decided["rule"]), (event["tls_wanted"], event["rule"]),
                         f"explain and delivery decide alike for {mailbox} at {host}")
        for event in itertools.islice(seen.values(), 20):
            def recorded(event=event):
                told = self.daemon.command("explain", "--message", event["id"], check=False)
                attempts = told.get("attempts", []) if isinstance(told, dict) else []
                return [row for row in attempts if (row["host"], row["result"], row["verdict"]) ==
                        (event["host"], event["result"], event["verdict"])]
            wait_until(recorded, 20, f"explain --message tells of {event}")

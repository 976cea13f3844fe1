# DMARC: Mail::DMARC's cases under the rules of RFC 9989, through `portcullis auth batch`; records seen in the wild must
# neither stop the verifier nor lose a good p=.
import json
import re
import shlex

from suite import Score, batch, finish, need, scratch, write_message


def zone_of(path):
    zone = {}
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith(";"):
            continue
        name, _ttl, kind, *rest = shlex.split(line)
        types = zone.setdefault(name.rstrip(".").lower(), {})
        if kind == "TXT":
            types.setdefault("TXT", []).append(rest)
        elif kind == "MX":
            types.setdefault("MX", []).append([int(rest[0]), rest[1].rstrip(".")])
        else:
            types.setdefault(kind, []).append(rest[0].rstrip("."))
    return zone


def message_from(work, number, field):
    return write_message(work, f"m{number}.eml", f"{field}\nTo: user@receiver.example\nSubject: test\n\nA line.\n")


def mail_dmarc(folder, work):
    score = Score("mail-dmarc")
    path = folder / "mail-dmarc"
    zone = zone_of(path / "zone.txt")
    cases = json.loads((path / "cases.json").read_text())
    requests, checks = [], {}

    def ask(key, field, check, dns=zone, **more):
        checks[key] = check
        requests.append({"id": key, "dns": dns, "message_file": message_from(work, len(requests), field), **more})

    for domain, wanted in cases["org_domain"]:
        ask(f"org_domain {domain}", f"From: <user@{domain}>", lambda got, w=wanted: got["org_domain"] == w)
    for domain, wanted, _why in cases["disposition_when_nothing_aligns"]:
        ask(f"disposition {domain}", f"From: <user@{domain}>", lambda got, w=wanted: got["disposition"] == w)
    for domain, wanted in cases["result_when_spf_aligned"]:
        own = {**zone, domain: {**zone.get(domain, {}), "TXT": [["v=spf1 ip4:192.0.2.1 -all"]]}}
        ask(f"result {domain}", f"From: <user@{domain}>", lambda got, w=wanted: got["result"] == w, own, ip="192.0.2.1",
            helo="mail.example.com", mail_from=f"user@{domain}")
    for text, wanted in cases["header_from_domain"]:
        field = text if text.startswith("From:") else f"From: {text}"
        ask(f"from {text}", field, lambda got, w=wanted: got["domain"] == w)
    answers = batch(requests)
    for key, check in checks.items():
        score.case(key, check(answers[key]["dmarc"]), str(answers[key]["dmarc"]))
    return score


def wild_records(folder, work):
    """Every record is put at _dmarc.wild.example. A verifier that reads a good p= must apply it."""
    score = Score("mail-dmarc-wild-records.json")
    found = json.loads((folder / "mail-dmarc-wild-records.json").read_text())
    records = []

    def collect(value):
        if isinstance(value, str):
            if "dmarc1" in value.lower() and "=" in value:
                records.append(value)
        elif isinstance(value, dict):
            for inner in value.values():
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)

    collect(found)
    requests = [{"id": number, "dns": {"_dmarc.wild.example": {"TXT": [[record]]}, "wild.example": {"A": ["192.0.2.1"]}},
                 "message_file": message_from(work, number, "From: <user@wild.example>")}
                for number, record in enumerate(records)]
    answers = batch(requests)
    for number, record in enumerate(records):
        got = answers[number]["dmarc"]
        tags = dict(re.findall(r"(?:^|;)\s*([a-z]+)\s*=\s*([^;]*?)\s*(?=;|$)", record))
        plain = record.startswith("v=DMARC1;") and tags.get("p", "").lower() in ("none", "quarantine", "reject") and all(
            tags.get(tag, "none").lower() in ("none", "quarantine", "reject") for tag in ("sp", "np"))
        right = got["policy"] == tags["p"].lower() and got["result"] == "fail" if plain else got["result"] in ("none", "fail")
        score.case(record, right, f"{got}")
    return score


folder = need("dmarc")
with scratch() as work:
    scores = [mail_dmarc(folder, work), wild_records(folder, work)]
finish(scores)

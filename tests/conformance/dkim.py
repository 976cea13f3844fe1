# DKIM: the messages of the RFCs, Mail::DKIM's corpus (with and without RFC 8301's limits), through `portcullis auth batch`.
import json

from suite import Score, batch, finish, need, scratch, write_message


def results(answer):
    return [signature["result"] for signature in answer["dkim"]]


def rfc_examples(folder, work):
    score = Score("rfc-examples")
    path = folder / "rfc-examples"
    zone = {name: {"TXT": [[text]]} for name, text in json.loads((path / "dns.json").read_text()).items()}
    wanted = {"rfc6376-A.2.eml": ["pass"], "rfc8463-A.3.eml": ["pass", "pass"],
              "rfc6376-A.2-body_modified.eml": ["fail"], "rfc6376-A.2-header_subject_modified.eml": ["fail"]}
    answers = batch([{"id": name, "dns": zone, "time": 1528637909,
                      "message_file": write_message(work, name, (path / name).read_bytes())} for name in wanted])
    for name, right in wanted.items():
        score.case(name, results(answers[name]) == right, f"{answers[name]['dkim']}, wanted {right}")
    return score


def fake_dns(path):
    zone = {}
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, _, value = line.partition(" ")
        value = value.strip()
        special = {"NXDOMAIN": "NXDOMAIN", "~~SERVFAIL~~": "SERVFAIL", "~~Query timed out~~": "TIMEOUT"}
        zone[name.lower()] = {"TXT": special[value] if value in special else [[value]]} if value else {}
    return zone


def is_right(case, got):
    """The result of the best signature against what Mail::DKIM says; `invalid` is permerror, neutral or ignored."""
    if case["result"] == "pass":
        return "pass" in got
    if case["result"] == "fail":
        return "pass" not in got and "fail" in got
    if case["result"] == "none":
        return not got
    if case["result"] == "temperror":
        return "temperror" in got and "pass" not in got
    return not {"pass", "fail"} & set(got)


def mail_dkim(folder, work):
    path = folder / "mail-dkim"
    cases = json.loads((path / "expected.json").read_text())
    zone = fake_dns(path / "FAKE_DNS.dat")
    requests = []
    for name in cases:
        file = write_message(work, name, (path / "corpus" / name).read_bytes())
        for weak in (True, False):
            requests.append({"id": f"{name} {weak}", "dns": zone, "allow_weak_keys": weak, "message_file": file})
    answers = batch(requests)
    lifted, strict = Score("mail-dkim, weak keys allowed"), Score("mail-dkim, RFC 8301")
    for name, case in cases.items():
        got = results(answers[f"{name} True"])
        if case["scope"] == "dkim" and not case["skipped_upstream"]:
            lifted.case(name, is_right(case, got), f"{answers[f'{name} True']['dkim']}, wanted {case['result']}: {case['note']}")
        got = results(answers[f"{name} False"])
        if case["rfc8301_weak"]:
            strict.case(name, "pass" not in got, f"{got}: a weak key or algorithm never passes")
        elif case["scope"] == "dkim" and not case["skipped_upstream"]:
            strict.case(name, is_right(case, got), f"{got}, wanted {case['result']}")
    return [lifted, strict]


folder = need("dkim")
with scratch() as work:
    scores = [rfc_examples(folder, work), *mail_dkim(folder, work)]
finish(scores)

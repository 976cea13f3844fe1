# The RFC 7208 suite and its predecessor for RFC 4408, through `portcullis auth batch`.
import yaml

from suite import Score, batch, finish, need

# Where RFC 7208 changed what RFC 4408 said, the newer suite's answer counts; see docs/spf.md.
NEWER = "rfc7208-tests.yml"


def zone_of(zonedata):
    """The suite's records as zone.json: SPF stands for TXT unless the name has TXT; TIMEOUT for the types not listed."""
    zone = {}
    for name, entries in zonedata.items():
        types, timeout = {}, False
        own_txt = any(isinstance(e, dict) and "TXT" in e for e in entries)
        for entry in entries:
            if entry == "TIMEOUT":
                timeout = True
                continue
            if not isinstance(entry, dict):
                continue
            for kind, value in entry.items():
                if kind == "SPF":
                    if own_txt:
                        continue
                    kind = "TXT"
                if kind == "TXT" and value == "NONE":
                    continue
                if value == "TIMEOUT":
                    types[kind] = "TIMEOUT"
                    continue
                if kind == "TXT":
                    value = value if isinstance(value, list) else [value]
                elif kind == "MX":
                    value = [value[0], value[1]]
                    if value[1] == "":
                        value[1] = "."
                types.setdefault(kind, []).append(value)
        if timeout:
            for kind in ("TXT", "A", "AAAA", "MX", "PTR"):
                types.setdefault(kind, "TIMEOUT")
        zone[name.lower()] = types
    return zone


def run(path, file):
    score = Score(file)
    with open(path / file, encoding="utf-8") as stream:
        scenarios = [document for document in yaml.safe_load_all(stream) if document]
    requests, wanted = [], {}
    for scenario in scenarios:
        zone = zone_of(scenario["zonedata"])
        for name, test in scenario["tests"].items():
            key = f"{scenario['description']}/{name}"
            wanted[key] = test
            requests.append({"id": key, "ip": test["host"], "helo": test["helo"], "mail_from": test["mailfrom"] or "",
                             "dns": zone})
    answers = batch(requests)
    for key, test in wanted.items():
        spf = answers[key]["spf"]["mailfrom"]
        allowed = test["result"] if isinstance(test["result"], list) else [test["result"]]
        right = spf["result"] in allowed
        detail = f"{spf['result']}, wanted {'/'.join(allowed)}"
        explanation = test.get("explanation")
        if right and explanation and explanation != "DEFAULT" and spf["result"] == "fail":
            right = spf["explanation"] == explanation
            detail = f"explanation {spf['explanation']!r}, wanted {explanation!r}"
        score.case(key, right, detail)
    return score


folder = need("spf")
finish([run(folder, NEWER), run(folder, "rfc4408-tests.yml")])

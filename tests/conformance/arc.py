# ARC: the ValiMail suite's validation cases through `portcullis auth batch`, its signing cases through `auth arc-seal`.
import pathlib
import re
import subprocess

import yaml

from suite import PORTCULLIS, Score, batch, finish, need, scratch, write_message


def documents(path):
    with open(path, encoding="utf-8") as stream:
        return [document for document in yaml.safe_load_all(stream) if document]


def zone_of(records):
    return {name: {"TXT": [[text.replace("\n", "")]]} for name, text in (records or {}).items()}


def validation(folder, work):
    score = Score("arc-validation.yml")
    requests, wanted = [], {}
    for scenario in documents(folder / "arc-validation.yml"):
        zone = zone_of(scenario.get("txt-records"))
        for name, test in scenario["tests"].items():
            key = f"{scenario['description']}/{name}"
            wanted[key] = test.get("cv") or ""
            requests.append({"id": key, "dns": zone, "time": 1_500_000_000, "allow_weak_keys": True,
                             "message_file": write_message(work, f"v{len(requests)}.eml", test["message"])})
    answers = batch(requests)
    for key, cv in wanted.items():
        got = answers[key]["arc"]["result"]
        allowed = {"none", "fail"} if cv == "" else {cv.lower()}
        score.case(key, got in allowed, f"{got}, wanted {'/'.join(sorted(allowed))} ({answers[key]['arc']})")
    return score


def tags(field):
    """A field's tags without white space."""
    value = field.partition(":")[2]
    return dict(part.strip().partition("=")[::2] for part in re.sub(r"\s+", "", value).split(";") if part.strip())


def fields_of(text):
    unfolded = re.sub(r"\r?\n(?=[ \t])", "", text.partition("\r\n\r\n")[0])
    return unfolded.split("\r\n")


def first(fields, name):
    return next((field for field in fields if field.lower().startswith(name + ":")), "")


def compare(printed, test):
    """Nothing when AS and AMS carry the wanted tags and AAR the wanted text, else what differs."""
    fields = fields_of(printed)
    for name, wanted in (("arc-seal", test["AS"]), ("arc-message-signature", test["AMS"])):
        if not (wanted or "").strip():
            if any(field.lower().startswith(name + ":") for field in fields):
                return f"{name} is there, and is not wanted"
            continue
        got = tags(first(fields, name))
        expected = tags(name + ":" + re.sub(r"\s+", "", wanted))
        if got != expected:
            return f"{name} {got}, wanted {expected}"
    if (test["AAR"] or "").strip():
        squeeze = lambda text: re.sub(r"\s+", "", text).lower().rstrip(";")
        got = first(fields, "arc-authentication-results").partition(":")[2]
        if squeeze(got) != squeeze(test["AAR"]):
            return f"arc-authentication-results {got!r}, wanted {test['AAR']!r}"
    return None


def signing(folder, work):
    score = Score("arc-sign.yml")
    for scenario in documents(folder / "arc-sign.yml"):
        key = pathlib.Path(work) / "key.pem"
        key.write_text(scenario["privatekey"])
        for name, test in scenario["tests"].items():
            message = write_message(work, "s.eml", test["message"])
            done = subprocess.run([PORTCULLIS, "auth", "arc-seal", "--domain", scenario["domain"], "--selector",
                                   scenario["sel"], "--key", key, "--authserv-id", test["srv-id"], "--time",
                                   str(test["t"]), "--headers", test["sig-headers"], message], capture_output=True, timeout=60)
            printed = done.stdout.decode("utf-8", "surrogateescape")
            difference = done.stderr.decode() if done.returncode else compare(printed, test)
            score.case(f"{scenario['description']}/{name}", difference is None, difference)
    return score


folder = need("arc")
with scratch() as work:
    scores = [validation(folder, work), signing(folder, work)]
finish(scores)

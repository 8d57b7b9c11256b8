"""A miner with Braiins OS 24.09 on a free loopback port, which it prints. Arguments: serve PASSWORD.

Written by hand from published clients. Standard library only. It answers exactly what is selected and refuses names it does
not have. Configuration and changes need a session, which is worth four requests. Stopped, its mining service is unavailable.
"""
import http.server
import json
import os
import re
import sys
import threading
import time

LOCK = threading.Lock()
STATE = {"stopped": False, "since": time.monotonic() - 90000, "target": 3250, "light": False, "session": "", "left": 0}


class Refused(Exception):
    pass


def tokens(text):
    return re.findall(r'"(?:[^"\\]|\\.)*"|\.\.\.|[{}()\[\]:!$=]|[\w.-]+', text)


def select(words):
    """The selection that begins behind an opening brace: name to (arguments, selection or None); fragments by `on X`."""
    found = {}
    while True:
        word = words.pop(0)
        if word == "}":
            return found
        if word == "...":
            words.pop(0)
            word = "on " + words.pop(0)
        arguments = []
        if words[0] == "(":
            while (words.pop(0)) != ")":
                arguments.append(words[0])
        inner = None
        if words[0] == "{":
            words.pop(0)
            inner = select(words)
        found[word] = (arguments, inner)


def pick(value, selection, errors):
    if isinstance(value, list):
        return [pick(one, selection, errors) for one in value]
    if value is None or not isinstance(value, dict):
        return value
    result = {}
    for name, (_, inner) in selection.items():
        if name.startswith("on "):
            if value["__typename"] == name[3:] or (name == "on Error" and value["__typename"].endswith("Error")):
                result.update(pick(value, inner, errors))
            continue
        if name not in value:
            raise Refused(f'Unknown field "{name}"')
        one = value[name]
        if one == "UNAVAILABLE":
            errors.append({"message": "Service unavailable", "extensions": {"code": "UNAVAILABLE"}})
            one = None
        result[name] = pick(one, inner, errors)
    return result


def tree(in_session):
    running = not STATE["stopped"] and time.monotonic() - STATE["since"] > 1
    mhs, watts = (109500250000.5 / 1000, min(3230, STATE["target"])) if running else (0.0, 70)
    solver = {"nominalMhs": 110000000.0, "realHashrate": {"mhs5S": mhs}, "childSolvers": [
        {"name": "1", "hwDetails": {"chips": 114, "frequencyMhz": 525.0}, "realHashrate": {"mhs5S": mhs / 2},
         "temperatures": [{"name": "Board", "degreesC": 61.5}, {"name": "Chip", "degreesC": 77.0}]},
        {"name": "2", "hwDetails": {"chips": 112}, "realHashrate": {"mhs5S": mhs / 2}, "temperatures": []}]}
    live = {"workSolver": solver, "fans": [{"name": "0", "rpm": 5904, "speed": 90}, {"name": "1", "rpm": 5874, "speed": 90}],
            "summary": {"power": {"approxConsumptionW": watts, "limitW": STATE["target"]}}}
    if STATE["stopped"]:
        live = {name: "UNAVAILABLE" for name in live}
    tuner = {"enabled": True, "mode": "POWER_TARGET", "powerTarget": STATE["target"], "hashrateTarget": None}
    config = {"__typename": "BosminerConfig", "autotuning": tuner} if in_session else {
        "__typename": "AuthError", "message": "x"}
    pool = {"url": "stratum+tcp://pool.example:3333", "user": "site.r9", "active": not STATE["stopped"], "status": "ALIVE"}
    return {
        "bos": {"uptime": {"durationS": 90000}, "faultLight": STATE["light"],
                "info": {"version": {"full": "2024-10-17-0-75912fc7-24.09-plus"}}},
        "bosminer": {"uptime": None if STATE["stopped"] else {"durationS": 80000}, "config": config,
                     "info": {"modelName": "Antminer S19 Pro", "poolGroups": [{"name": "g", "pools": [pool]}], **live}},
    }


def change(selection, variables):
    done = {"__typename": "VoidResult", "void": "void"}
    bosminer = selection.get("bosminer", (None, {}))[1]
    bos = selection.get("bos", (None, {}))[1]
    if "stop" in bosminer or "start" in bosminer:
        word = "stop" if "stop" in bosminer else "start"
        STATE.update(stopped=word == "stop", since=time.monotonic())
        return {"bosminer": {word: done}}
    if "config" in bosminer:
        if set(variables["input"]) != {"powerTarget"} or not 900 <= variables["input"]["powerTarget"] <= 3500:
            return {"bosminer": {"config": {"updateAutotuning": {"__typename": "AutotuningError", "message": "range"}}}}
        STATE["target"] = variables["input"]["powerTarget"]
        return {"bosminer": {"config": {"updateAutotuning": {"__typename": "AutotuningOut"}}}}
    if "setFaultLight" in bos and isinstance(variables["enable"], bool):
        STATE["light"] = variables["enable"]
        return {"bos": {"setFaultLight": {"__typename": "FaultLight", "enabled": STATE["light"]}}}
    raise Refused("Unknown field")


class Pages(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, value, cookie=None):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        if cookie:
            self.send_header("Set-Cookie", "lang=en; Path=/")
            self.send_header("Set-Cookie", f"session_id={cookie}; Path=/; HttpOnly")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        with LOCK:
            asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            words = tokens(asked["query"])
            kind = words[0]
            while words.pop(0) != "{":
                pass
            selection, variables, errors = select(words), asked.get("variables", {}), []
            if "auth" in selection:
                if (variables.get("username"), variables.get("password")) != ("root", sys.argv[2]):
                    return self.answer({"data": {"auth": {"login": {"__typename": "AuthError"}}}})
                STATE.update(session=os.urandom(8).hex(), left=4)
                return self.answer({"data": {"auth": {"login": {"__typename": "VoidResult"}}}}, STATE["session"])
            in_session = f"session_id={STATE['session']}" in self.headers.get("Cookie", "") and STATE["left"] > 0
            STATE["left"] -= 1
            closed = kind == "mutation" or "config" in selection.get("bosminer", (None, {}))[1]
            if closed and not in_session:
                return self.answer({"data": None, "errors": [{"message": "Unauthorized"}]})
            try:
                value = change(selection, variables) if kind == "mutation" else tree(in_session)
                data = pick(value, selection, errors)
            except Refused as refused:
                return self.answer({"data": None, "errors": [{"message": str(refused)}]})
            return self.answer({"data": data, **({"errors": errors} if errors else {})})


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
print(server.server_address[1], flush=True)
server.serve_forever()

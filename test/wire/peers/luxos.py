"""An Antminer S19j Pro with LuxOS, and a client of such machines. Standard library only; by hand from the documents.

    luxos.py serve -                          prints its loopback port
    luxos.py ask HOST PORT REQUEST...         one connection per request, {sid} in it being the session's id; prints a list
One session at a time. Curtailment is carried out 1 s after its OK; woken it takes another 1 s to hash. While its thermal
control is on it refuses a profile.
"""
import json
import os
import socket
import socketserver
import sys
import threading
import time

LOCK = threading.Lock()
STATE = {"sleep": False, "since": time.monotonic() - 90000, "due": None, "sid": "", "profile": "545MHz", "atm": True}
PROFILES = {"405MHz": (2050, 77.5, -4), "480MHz": (2510, 92.0, -2), "545MHz": (3068, 104.0, 0), "595MHz": (3520, 113.5, 2)}


def read(command):
    """Code and sections of a command that anybody may ask."""
    hashing = not STATE["sleep"] and time.monotonic() - STATE["since"] > 1
    watts, rate, _ = PROFILES[STATE["profile"]]
    return {
        "version": (22, {"VERSION": [{"API": "3.7", "LUXminer": "2025.9.8.152528-e04420b4b", "Type": "Antminer S19j Pro"}]}),
        "summary": (11, {"SUMMARY": [{"Elapsed": int(time.monotonic() - STATE["since"]),
                                      "GHS 5s": rate * 990 if hashing else 0.0, "GHS av": 98765.4}]}),
        "power": (311, {"POWER": [{"PSU": True, "Watts": watts - 15 if hashing else 25}]}),
        "config": (33, {"CONFIG": [{"CurtailMode": "Sleep" if STATE["sleep"] else "None", "IsAtmEnabled": STATE["atm"],
                                    "NameplateTHS": 104.0, "Profile": STATE["profile"], "SystemStatus": "Normal"}]}),
        "profiles": (323, {"PROFILES": [{"Profile Name": name, "Watts": w, "Hashrate": r, "Step": str(step)}
                                        for name, (w, r, step) in PROFILES.items()]}),
        "temps": (201, {"TEMPS": [{"ID": 0, "TopLeft": 61.0, "TopRight": 44.5, "BottomLeft": 62.5, "BottomRight": 0.0}]}),
        "fans": (202, {"FANS": [{"FAN": "FAN4", "ID": 0, "RPM": 4020}, {"FAN": "FAN2", "ID": 1, "RPM": 4110}]}),
        "pools": (7, {"POOLS": [{"URL": "stratum+tcp://pool.example:3333", "User": "site.r9", "Stratum Active": True}]}),
        "session": (316, {"SESSION": [{"SessionID": STATE["sid"]}]}),
    }.get(command)


def change(command, words):
    if command == "curtail" and words in (["sleep"], ["wakeup"]):
        STATE["due"] = (time.monotonic() + 1, words == ["sleep"])
        return 335, "Curtailment command sent"
    if command == "profileset" and len(words) == 1 and words[0] in PROFILES and not STATE["atm"]:
        STATE.update(profile=words[0], since=time.monotonic())
        return 325, "Updated profile"
    if command == "atmset" and words in (["enabled=true"], ["enabled=false"]):
        STATE["atm"] = words == ["enabled=true"]
        return 338, "Updated advanced thermal management"
    if command == "ledset" and words[:1] == ["red"] and words[1:] in (["on"], ["off"], ["blink"]):
        return 321, "LED set"
    if command == "rebootdevice" and not words:
        STATE.update(since=time.monotonic(), sid="")
        return 323, "Rebooting"
    return None


def answer(asked):
    if STATE["due"] and time.monotonic() >= STATE["due"][0]:
        STATE.update(sleep=STATE["due"][1], since=time.monotonic(), due=None)
    command, words = asked.get("command"), asked.get("parameter", "").split(",")
    found = read(command)
    if found:
        return "S", found[0], "OK", found[1]
    if command == "logon":
        if STATE["sid"]:
            return "E", 402, "Another session is active", {}
        STATE["sid"] = os.urandom(4).hex()
        return "S", 316, "Session created", {"SESSION": [{"SessionID": STATE["sid"]}]}
    if not STATE["sid"] or words[0] != STATE["sid"]:
        return "E", 316, "Invalid session id", {}
    if command == "logoff":
        STATE["sid"] = ""
        return "S", 317, "Session terminated", {}
    changed = change(command, words[1:])
    return ("S", changed[0], changed[1], {}) if changed else ("E", 14, "Invalid command", {})


class Api(socketserver.BaseRequestHandler):
    def handle(self):
        held = b""
        while not held.rstrip().endswith(b"}"):
            part = self.request.recv(4096)
            if not part:
                return
            held += part
        with LOCK:
            level, code, message, sections = answer(json.loads(held))
        status = {"STATUS": level, "When": int(time.time()), "Code": code, "Msg": message, "Description": "LUXminer 2025.9.8"}
        self.request.sendall((json.dumps({"STATUS": [status], **sections, "id": 1}) + "\0").encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def ask(host, port, *requests):
    sid, answers = "", []
    for request in requests:
        with socket.create_connection((host, int(port)), 20) as connection:
            connection.sendall(request.replace("{sid}", sid).encode())
            held = b""
            while part := connection.recv(4096):
                held += part
        said = json.loads(held.rstrip(b"\0"))
        sid = said.get("SESSION", [{"SessionID": sid}])[0]["SessionID"]
        answers.append(said)
    print(json.dumps(answers), flush=True)


if sys.argv[1] == "serve":
    server = Server(("127.0.0.1", 0), Api)
    print(server.server_address[1], flush=True)
    server.serve_forever()
else:
    ask(*sys.argv[2:])

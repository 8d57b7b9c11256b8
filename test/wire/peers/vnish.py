"""An Antminer with VNish 1.3.3 on a free loopback port, which it prints. Arguments: serve PASSWORD.

Written by hand from an API document of 1.2.6 and what other clients send (asic-rs, pyasic). Standard library only.
Nothing is shown without a token, which is worth ten requests. A new preset waits for mining to start anew, and a part of
the overclock that is not sent is lost. Stopped it draws 55 W; started it takes 1 s to hash.
"""
import http.server
import json
import os
import sys
import threading
import time

LOCK = threading.Lock()
SHIPPED = {"modded_psu": False, "preset": "disabled", "globals": {"volt": 1380, "freq": 675}, "chains": []}
STATE = {"state": "mining", "since": time.monotonic() - 90000, "inforce": "3250", "on": False, "token": "", "left": 0,
         "overclock": {**SHIPPED, "preset": "3250", "globals": {"volt": 1310, "freq": 605}, "chains": [{"freq": 0}]}}
PRESETS = [{"name": "disabled", "pretty": "Disabled", "status": "untuned", "modded_psu_required": False}] + [
    {"name": name, "pretty": name + " watt", "status": status, "modded_psu_required": False}
    for name, status in (("2000", "tuned"), ("2500", "untuned"), ("3250", "tuned"))]


def page(path):
    resting = STATE["state"] != "mining"
    hashing = not resting and time.monotonic() - STATE["since"] > 1
    watts = int(STATE["inforce"]) - 10 if hashing else 55
    state = STATE["state"] if resting or hashing else "initializing"
    wants = STATE["overclock"]["preset"] != STATE["inforce"]
    pools = [{"id": 2, "url": "DevFee", "user": "DevFee", "pool_type": "DevFee", "status": "working"},
             {"id": 0, "url": "pool.example:3333", "user": "site.v1", "pool_type": "UserPool", "status": "active"}]
    return {
        "info": {"miner": "Antminer S19j Pro", "model": "s19jpro", "fw_name": "Vnish", "fw_version": "1.3.3",
                 "algorithm": "sha256d", "hr_measure": "GH/s", "system": {"uptime": "1 days, 1:00"}, "serial": "N/A"},
        "status": {"miner_state": state, "miner_state_time": 7, "throttled": 100, "find_miner": STATE["on"],
                   "restart_required": wants, "reboot_required": False, "unlocked": True, "unlock_timeout": 60},
        "summary": {"miner": {
            "miner_status": {"miner_state": state, "miner_state_time": 7, "throttled": 100}, "hr_stock": 104000.0,
            "hr_realtime": 103250.5 if hashing else 0.0, "hr_average": 1.0 if hashing else 0.0, "power_usage": 29.5,
            "power_consumption": watts, "pools": pools, "cooling": {"fan_num": 2, "fan_duty": 72, "fans": [
                {"id": 0, "rpm": 5400, "status": "ok"}, {"id": 1, "rpm": 5390, "status": "ok"}]},
            "chains": [{"id": n, "pcb_temp": {"min": 50, "max": 60 + n}, "chip_temp": {"min": 60, "max": 74 + n}}
                       for n in (1, 2, 3)]}},
        "perf-summary": {"current_preset": {"name": STATE["inforce"], "status": "tuned"}, "preset_switcher": {}},
        "settings": {"miner": {"overclock": STATE["overclock"], "cooling": {"mode": {"name": "auto"}}, "misc": {},
                               "pools": [{"url": "pool.example:3333", "user": "site.v1", "pass": "x"}]}},
        "autotune/presets": PRESETS,
    }.get(path)


def post(path, body):
    if path == "settings":
        sent = json.loads(body)["miner"]
        if set(sent) != {"overclock"}:
            return 400, {"err": "unexpected"}
        STATE["overclock"] = {**SHIPPED, **sent["overclock"]}
        return 200, {"restart_required": STATE["overclock"]["preset"] != STATE["inforce"], "reboot_required": False}
    if path == "find-miner" and isinstance(json.loads(body).get("on"), bool):
        STATE["on"] = json.loads(body)["on"]
        return 200, {"on": STATE["on"]}
    if body:
        return 400, {"err": "no body expected"}
    if path == "mining/stop" and STATE["state"] == "mining":
        STATE["state"] = "stopped"
    elif path == "mining/start" and STATE["state"] == "stopped" or path == "mining/restart":
        kept = STATE["overclock"]["globals"]["freq"] == 605 and STATE["overclock"]["chains"] == [{"freq": 0}]
        STATE.update(state="mining" if kept else "failure", since=time.monotonic(), inforce=STATE["overclock"]["preset"])
    elif path == "system/reboot":
        STATE["since"] = time.monotonic()
        return 200, {"after": 3}
    else:
        return 500, {"err": "CGMiner err: Cgminer error failed-to-activate-pause-mode "}
    return 200, None


class Pages(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, value):
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.removeprefix("/api/v1/")
        if self.command == "POST" and path == "unlock":
            if json.loads(body) != {"pw": sys.argv[2]}:
                return self.answer(403, {"err": "wrong password"})
            STATE.update(token=os.urandom(16).hex(), left=10)
            return self.answer(200, {"token": STATE["token"]})
        if self.headers.get("Authorization") != "Bearer " + STATE["token"] or STATE["left"] <= 0:
            return self.answer(401, {"err": "unauthorized"})
        STATE["left"] -= 1
        if self.command == "POST":
            return self.answer(*post(path, body))
        found = page(path)
        return self.answer(404 if found is None else 200, found)

    def do_GET(self):
        with LOCK:
            self.do()

    do_POST = do_GET


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
print(server.server_address[1], flush=True)
server.serve_forever()

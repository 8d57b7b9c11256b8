"""A miner with Braiins OS 25.07 on a free loopback port, which it prints. Arguments: serve PASSWORD.

Written by hand from the REST documents. Standard library only. Every page but the login needs the token alone in the
Authorization header; a token is worth ten pages, then it has ended. Paused it draws 70 W; resumed it takes 1 s to hash.
"""
import http.server
import json
import os
import sys
import threading
import time

LOCK = threading.Lock()
STATE = {"pools": [("stratum+tcp://pool.example:3333", "site.r9")], "paused": False, "since": time.monotonic() - 90000, "target": 3250, "locate": False, "token": "", "left": 0}


def rate(ghs):
    return {"real_hashrate": {"last_5s": {"gigahash_per_second": ghs}, "since_restart": {"gigahash_per_second": 99999.5}}}


def page(path):
    hashing = not STATE["paused"] and time.monotonic() - STATE["since"] > 1
    ghs, watts = (109500.25, min(3230, STATE["target"])) if hashing else (0.0, 70)
    return {
        "miner/stats": {"miner_stats": rate(ghs), "pool_stats": {"accepted_shares": 7},
                        "power_stats": {"approximated_consumption": {"watt": watts}, "efficiency": None}},
        "miner/details": {"status": 3 if STATE["paused"] else 2, "system_uptime_s": 90000,
                          "miner_identity": {"brand": 1, "model": 12, "miner_model": "Antminer S19 Pro"},
                          "bos_version": {"current": "2025-08-06-0-3881c51d-25.07-plus"},
                          "sticker_hashrate": {"gigahash_per_second": 110000.0}},
        "miner/hw/hashboards": {"hashboards": [
            {"id": "1", "board_temp": {"degree_c": 61.5}, "highest_chip_temp": {"temperature": {"degree_c": 77.0}}},
            {"id": "2", "board_temp": None, "highest_chip_temp": None}]},
        "cooling/state": {"fans": [{"position": 0, "rpm": 5904}, {"position": 1, "rpm": 5874}]},
        "pools": [{"name": "g", "strategy": {"quota": {"value": 1}}, "pools": [
            {"uid": str(place), "url": url, "user": user, "enabled": True, "active": place == 0}
            for place, (url, user) in enumerate(STATE["pools"])]}],
        "performance/tuner-state": {"overall_tuner_state": 2, "mode_state": {
            "powertargetmodestate": {"current_target": {"watt": STATE["target"]}}}},
        "configuration/miner": {"tuner": {"tuner_mode": 1, "power_target": {"watt": STATE["target"]}}},
    }.get(path)


def change(path, body):
    if path in ("actions/pause", "actions/resume") and not body:
        STATE.update(paused=path == "actions/pause", since=time.monotonic())
    elif path == "actions/locate" and body in (b"true", b"false"):
        STATE["locate"] = body == b"true"
    elif path == "performance/power-target" and set(json.loads(body)) == {"watt"}:
        STATE["target"] = json.loads(body)["watt"]
    elif path == "pools/batch":
        groups = json.loads(body)
        if len(groups) != 1 or set(groups[0]) != {"name", "pools", "load_balance_strategy"}:
            return 400
        if any(set(pool) != {"url", "user", "password"} for pool in groups[0]["pools"]):
            return 400
        STATE["pools"] = [(pool["url"], pool["user"]) for pool in groups[0]["pools"]]
    elif path == "actions/reboot" and not body:
        STATE["since"] = time.monotonic()
    else:
        return 400
    return 200


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
        if self.command == "POST" and path == "auth/login":
            if json.loads(body) != {"username": "root", "password": sys.argv[2]}:
                return self.answer(401, {"message": "unauthorized"})
            STATE.update(token=os.urandom(8).hex(), left=10)
            return self.answer(200, {"token": STATE["token"], "timeout_s": 3600})
        if self.headers.get("Authorization") != STATE["token"] or STATE["left"] <= 0:
            return self.answer(401, {"message": "unauthorized"})
        STATE["left"] -= 1
        if self.command == "PUT":
            return self.answer(change(path, body), None)
        found = page(path)
        return self.answer(404 if found is None else 200, found)

    def do_GET(self):
        with LOCK:
            self.do()

    do_POST = do_PUT = do_GET


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
print(server.server_address[1], flush=True)
server.serve_forever()

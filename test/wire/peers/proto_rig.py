"""A Proto Rig with ProtoOS 1.8.0 on a free loopback port, which it prints. Arguments: serve PASSWORD.

Written by hand from the maker's fleet software (block/proto-fleet, server/fake-proto-rig). Standard library only. An
access token is worth ten requests, the refresh token two renewals. Stopped it draws 200 W; started it takes 1 s to hash.
"""
import http.server
import json
import os
import sys
import threading
import time
import urllib.parse

LOCK = threading.Lock()
STATE = {"stopped": False, "since": time.monotonic() - 90000, "target": 3400, "mode": "MaximumHashrate", "hash": True,
         "access": "", "left": 0, "pools": [["stratum+tcp://pool.example:3333", "site.p1"]], "refresh": "", "renewals": 0, "locate": 0}


def get(path):
    hashing = not STATE["stopped"] and time.monotonic() - STATE["since"] > 1
    watts = min(3447.25, STATE["target"] * 1.01) if hashing else 198.5
    word = "Stopped" if STATE["stopped"] else "Mining" if hashing else "PoweringOn"
    return {
        "mining": {"mining-status": {"status": word, "reboot_uptime_s": 90000, "mining_uptime_s": 89990,
                                     "hashrate_ghs": 141147.5 if hashing else 0, "average_hashrate_ghs": 140000.0,
                                     "ideal_hashrate_ghs": 145000, "power_usage_watts": watts,
                                     "power_target_watts": STATE["target"], "hw_errors": 0}},
        "mining/target": {"power_target_watts": STATE["target"], "power_target_min_watts": 2000,
                          "power_target_max_watts": 4000, "default_power_target_watts": 3400,
                          "performance_mode": STATE["mode"], "hash_on_disconnect": STATE["hash"]},
        "cooling": {"cooling-status": {"fan_mode": "Auto", "fans": [{"slot": 1, "rpm": 4346}, {"slot": 2, "rpm": 4691}]}},
        "pools": {"pools": [{"id": n, "priority": n, "url": url, "user": user, "status": "Active", "enabled": True}
                            for n, (url, user) in enumerate(STATE["pools"])]},
        "telemetry": {"timestamp": "2026-05-27T22:50:24Z", "hashboards": [
            {"index": 0, "temperature": {"unit": "°C", "inlet": 41.25, "outlet": 55.5, "average": 48.375}},
            {"index": 1, "temperature": {"unit": "°C", "inlet": 38.5, "outlet": 55.0, "average": 46.75}}]},
        "curtailment/status": {"active": False, "known": False, "provider": None, "reason": "no_status_received"},
    }.get(path)


def put_target(asked):
    watts, mode = asked.get("power_target_watts"), asked.get("performance_mode", STATE["mode"])
    if watts is not None and not 2000 <= watts <= 4000 or mode not in ("MaximumHashrate", "Efficiency"):
        return 422, {"error": {"code": "OUT_OF_RANGE", "message": "power_target_watts"}}
    STATE.update(target=watts or STATE["target"], mode=mode, hash=asked.get("hash_on_disconnect", STATE["hash"]))
    return 200, get("mining/target")


def login(path, asked):
    if path == "auth/login" and asked == {"password": sys.argv[2]}:
        STATE.update(access=os.urandom(8).hex(), left=10, refresh=os.urandom(8).hex(), renewals=2)
        return 200, {"access_token": STATE["access"], "refresh_token": STATE["refresh"]}
    if path == "auth/refresh" and asked == {"refresh_token": STATE["refresh"]} and STATE["renewals"] > 0:
        STATE.update(access=os.urandom(8).hex(), left=10, renewals=STATE["renewals"] - 1)
        return 200, {"access_token": STATE["access"]}
    return 401, {"error": {"code": "UNAUTHORIZED", "message": "Invalid"}}


def post(path, query):
    if path in ("mining/stop", "mining/start"):
        STATE.update(stopped=path == "mining/stop", since=time.monotonic())
    elif path == "system/locate" and set(query) <= {"led_on_time", "enable"}:
        STATE["locate"] = int(query.get("led_on_time", ["0"])[0])
    elif path == "system/reboot":
        STATE["since"] = time.monotonic()
    else:
        return 404, {"error": {"code": "NOT_FOUND", "message": path}}
    return 202, {"message": "accepted"}


class Pages(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(self.path)
        path = url.path.removeprefix("/api/v1/")
        if self.command == "POST" and path.startswith("auth/"):
            return self.answer(*login(path, json.loads(body)))
        if self.command == "GET" and path == "system":
            return self.answer(200, {"system-info": {"product_name": "Proto Rig", "manufacturer": "Proto", "model": "Rig",
                                                     "os": {"name": "ProtoOS", "version": "1.8.0"}}})
        if self.headers.get("Authorization") != f"Bearer {STATE['access']}" or STATE["left"] <= 0:
            return self.answer(401, {"error": {"code": "UNAUTHORIZED", "message": "Missing or invalid bearer token"}})
        STATE["left"] -= 1
        if self.command == "PUT" and path == "mining/target":
            return self.answer(*put_target(json.loads(body)))
        if self.command == "POST" and path == "pools":
            STATE["pools"] = [[one["url"], one["username"]] for one in sorted(json.loads(body), key=lambda one: one["priority"])]
            return self.answer(200, {"message": "Pools configured successfully"})
        if self.command == "POST" and not body:
            return self.answer(*post(path, urllib.parse.parse_qs(url.query)))
        found = get(path) if self.command == "GET" else None
        return self.answer(404 if found is None else 200, found or {"error": {"code": "NOT_FOUND", "message": path}})

    def do_GET(self):
        with LOCK:
            self.do()

    do_POST = do_PUT = do_GET


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
print(server.server_address[1], flush=True)
server.serve_forever()

"""An Antminer with ePIC's PowerPlay 1.17 on a free loopback port, which it prints. Arguments: serve PASSWORD.

Written by hand from other clients (asic-rs, pyasic) and the maker's page. Standard library only. The password stands in
every body; what it is told is answered {"result":true}. Stopped it draws 48 W and has no boards; started it takes 1 s to hash.
"""
import http.server
import json
import sys
import threading
import time

LOCK = threading.Lock()
STATE = {"coin": "BTC", "unique": True,
         "pools": [{"pool": "stratum+tcp://pool.example:3333", "login": "site.e1", "password": "x"}], "state": "Mining", "since": time.monotonic() - 90000, "last": None, "locate": False,
         "tune": {"Target": 3100, "Min Throttle Target": 1500, "Throttle Step": 100}}


def summary():
    idle = STATE["state"] == "Idling"
    hashing = not idle and time.monotonic() - STATE["since"] > 1
    boards = [{"Index": n, "Hashrate": [46000000.5, 99.1, 0.7], "Temperature": 61.25 + n} for n in (0, 2)]
    return {"Hostname": "peer", "Software": "PowerPlay-BMS v1.17.0", "OS Type": "umcOS",
            "Status": {"Operating State": STATE["state"] if idle or hashing else "AdjustingClockVoltage",
                       "Last Command": STATE["last"], "Last Command Result": None, "Last Error": None},
            "HBs": boards if hashing else None, "Session": {"Uptime": int(time.monotonic() - STATE["since"])},
            "Fans": {"Fan Mode": {"Manual": 70}, "Fans Speed": 70},
            "Fans Rpm": {"Fans Speed 1": 5971, "Fans Speed 2": 0, "Fans Speed 3": None},
            "Power Supply Stats": {"Input Power": STATE["tune"]["Target"] - 10.5 if hashing else 48.0,
                                   "Input Voltage": 231.5, "Input Current": 13.3},
            "PerpetualTune": {"Running": True, "Algorithm": {"PowerTune": {**STATE["tune"], "Optimized": True, "Unit": "W"}}},
            "Misc": {"Critical Temp": 100.0, "Locate Miner State": STATE["locate"], "Shutdown Temp": 85.0},
            "Stratum": {"Config Id": 0, "Current Pool": "pool.example:3333", "IsPoolConnected": True,
                        "Worker Unique Id": STATE["unique"]},
            "StratumConfigs": STATE["pools"], "Mining": {"Coin": STATE["coin"], "Algorithm": "SHA-256"}}


def capabilities():
    return {"Model": "AntMiner S19j Pro", "Default Hashrate": 104, "PerpetualTune": [
        {"algorithm": "ChipTune", "min": 60, "max": 300}, {"algorithm": "PowerTune", "min": 1000, "max": 4000}]}


def post(path, body):
    if set(body) != {"param", "password"} or body["password"] != sys.argv[2]:
        return {"result": False, "error": "Authentication failed"}
    param = body["param"]
    if path == "/miner" and param in ("Stop", "Autostart"):
        STATE.update(state="Idling" if param == "Stop" else "Mining", last=param.lower(), since=time.monotonic())
    elif path == "/perpetualtune/algo" and set(param) == {"algo", "target", "min_throttle", "throttle_step"}:
        if param["algo"] != "PowerTune" or not 1000 <= param["target"] <= 4000:
            return {"result": False, "error": "out of range"}
        STATE["tune"] = {"Target": param["target"], "Min Throttle Target": param["min_throttle"],
                         "Throttle Step": param["throttle_step"]}
    elif path == "/coin" and set(param) == {"coin", "stratum_configs", "unique_id"}:
        configs = param["stratum_configs"]
        if param["coin"] != STATE["coin"] or not 1 <= len(configs) <= 3 or not isinstance(param["unique_id"], bool):
            return {"result": False, "error": "bad config"}
        STATE.update(pools=configs, unique=param["unique_id"])
    elif path == "/identify" and isinstance(param, bool):
        STATE["locate"] = param
    elif path == "/reboot" and param == "0":
        STATE["since"] = time.monotonic()
    else:
        return {"result": False, "error": "unknown"}
    return {"result": True}


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

    def do_GET(self):
        with LOCK:
            found = {"/summary": summary, "/capabilities": capabilities}.get(self.path)
            self.answer(404 if found is None else 200, {} if found is None else found())

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with LOCK:
            self.answer(200, post(self.path, json.loads(body)))


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
print(server.server_address[1], flush=True)
server.serve_forever()

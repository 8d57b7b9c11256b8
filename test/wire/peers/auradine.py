"""An Auradine AT1500 with FluxOS on two free loopback ports, printed as WEB/API. Arguments: serve PASSWORD.

Written by hand from the sample answers of public clients (256foundation/asic-rs, UpstreamData/pyasic). Standard library
only. A token is worth ten pages, then HTTP 401. Asleep it draws 58.94 W; woken it takes 1 s to hash. Like the samples,
the sentence about the mode says sleep 'false' whatever it does: the field counts.
"""
import http.server
import json
import os
import socketserver
import sys
import threading
import time

LOCK = threading.Lock()
STATE = {"sleep": "off", "since": time.monotonic() - 56696, "power": 3300, "token": "", "left": 0, "led": 2,
         "pools": [{"url": "stratum+tcp://pool.example:3333", "user": "site.a1"}]}


def said(level, code, message, **sections):
    return {"STATUS": [{"STATUS": level, "When": 1703715266, "Code": code, "Msg": message,
                        "Description": "FluxOS-2023-12.27-9bf070ee4408866329c93a70f2dfdc6248938aaa"}], **sections, "id": 1}


def hashing():
    return STATE["sleep"] == "off" and time.monotonic() - STATE["since"] > 1


def api(command):
    mhs = 150599767.25 if hashing() else 0
    if command == "summary":
        return said("S", 11, "Summary", SUMMARY=[{"Elapsed": 56696, "MHS av": 149970630.04, "MHS 5s": mhs, "Accepted": 3310}])
    if command == "devs":
        return said("S", 9, "2 Dev(s)", DEVS=[{"DEV": n, "Name": "ASICBoard", "ID": n, "Temperature": 27.5 + n} for n in (1, 2)])
    if command == "pools":
        return said("S", 7, "Pool(s)", POOLS=[{"POOL": n, "URL": one["url"], "Status": "Alive", "Priority": n,
                                              "User": one["user"], "Stratum Active": n == 0}
                                             for n, one in enumerate(STATE["pools"])])
    return said("E", 14, "Invalid command")


def page(command):
    watts = "%.2fW" % (min(3288.5, STATE["power"]) if hashing() else 58.94)
    return {
        "ipreport": said("S", 620, "IP Report", IPReport=[{"model": "AT1500", "version": "2023-12.27", "InternalType": "T0"}]),
        "mode": said("S", 540, "Operating mode: 'custom', sleep: 'false'",
                     Mode=[{"Mode": "custom", "Sleep": STATE["sleep"], "Ths": 160, "Power": STATE["power"]}]),
        "psu": said("S", 570, "PSU status", PSU=[{"Vin": "245.00V", "FanSpeed1": "4052.00 RPM", "PowerOut": "0.00W",
                                                  "PowerIn": watts, "PoutMax": "3452.00W"}]),
        "fan": said("S", 510, "Total fans: 2", Fan=[{"ID": 1, "Speed": 7080, "Target": 7000}, {"ID": 2, "Speed": 7020}]),
        "temperature": said("S", 590, "System temperature", Temperature=[
            {"ID": 0, "Name": "Control Board", "BoardTemp": [{"ID": 0, "Temperature": 24.9375}], "ChipTemp": None},
            {"ID": 1, "Name": "Hash Board 1", "ChipTemp": [{"ID": 0, "Temperature": 45.5}, {"ID": 1, "Temperature": 45.25}]}]),
    }.get(command)


def change(command, asked):
    if asked.pop("command", None) != command:
        return said("E", 14, "Missing command")
    if command == "mode" and set(asked) == {"sleep"} and asked["sleep"] in ("on", "off"):
        STATE.update(sleep=asked["sleep"], since=time.monotonic())
    elif command == "mode" and asked == {"mode": "custom", "tune": "power", "power": asked.get("power")}:
        STATE["power"] = int(asked["power"])
    elif command == "led" and asked.get("code") in (2, 3):
        STATE["led"] = asked["code"]
    elif command == "updatepools" and all(set(one) == {"url", "user", "pass"} for one in asked["pools"]):
        STATE["pools"] = asked["pools"]
    elif command == "restart" and not asked:
        STATE["since"] = time.monotonic()
    else:
        return said("E", 14, "Invalid parameter")
    return said("S", 541, "done")


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
        command = self.path.removeprefix("/")
        if self.command == "POST" and command == "token":
            if json.loads(body) != {"command": "token", "user": "admin", "password": sys.argv[2]}:
                return self.answer(200, said("E", 45, "Login failed"))
            STATE.update(token=os.urandom(8).hex(), left=10)
            return self.answer(200, said("S", 600, "Token", Token=[{"Token": STATE["token"]}]))
        if self.headers.get("Token") != STATE["token"] or STATE["left"] <= 0:
            return self.answer(401, said("E", 45, "Unauthorized"))
        STATE["left"] -= 1
        found = change(command, json.loads(body)) if self.command == "POST" else page(command)
        return self.answer(404 if found is None else 200, found or {})

    def do_GET(self):
        with LOCK:
            self.do()

    do_POST = do_GET


class Api(socketserver.StreamRequestHandler):
    def handle(self):
        asked = json.loads(self.request.recv(4096))
        with LOCK:
            self.wfile.write(json.dumps(api(asked["command"])).encode() + b"\0")


web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Api)
threading.Thread(target=tcp.serve_forever, daemon=True).start()
print(f"{web.server_address[1]}/{tcp.server_address[1]}", flush=True)
web.serve_forever()

"""A Bitaxe with AxeOS v2.14 on a free loopback port, which it prints. Arguments: serve IGNORED.

Written by hand from the published interface. Standard library only. No password. Paused it draws 2 W.
"""
import http.server
import json
import threading
import time

LOCK = threading.Lock()
STATE = {"pools": {"stratumURL": "pool.example", "stratumPort": 3333, "stratumUser": "site.b1"}, "paused": False, "since": time.monotonic() - 90000}


def info():
    hashing = not STATE["paused"] and time.monotonic() - STATE["since"] > 1
    return {"ASICModel": "BM1370", "version": "v2.14.1", "power": 17.5 if hashing else 2.0, "voltage": 5100.0,
            "current": 3431.4 if hashing else 392.2, "hashRate": 1075.25 if hashing else 0, "expectedHashrate": 1071,
            "temp": 58.5, "vrTemp": 61, "frequency": 525, "coreVoltage": 1150, "fanrpm": 4211, "miningPaused": STATE["paused"],
            "overheat_mode": 0, "uptimeSeconds": 90000, "isUsingFallbackStratum": 0,
            **{name: value for name, value in STATE["pools"].items() if not name.endswith("Password")}}


class Pages(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        with LOCK:
            found = self.path == "/api/system/info"
            self.answer(200 if found else 404, json.dumps(info()).encode() if found else b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        word = self.path.removeprefix("/api/system/")
        if body or word not in ("pause", "resume", "restart", "identify"):
            return self.answer(404, b"")
        with LOCK:
            if word in ("pause", "resume"):
                STATE.update(paused=word == "pause", since=time.monotonic())
            elif word == "restart":
                STATE.update(paused=False, since=time.monotonic())
        return self.answer(200, b"System will restart shortly." if word == "restart" else b"")


    def do_PATCH(self):
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        known = {f"{front}{word}" for front in ("stratum", "fallbackStratum") for word in ("URL", "Port", "User", "Password")}
        # Addresses stand without a scheme and without a port.
        if self.path != "/api/system" or set(asked) - known or any(":" in str(value) for value in asked.values()):
            return self.answer(400, b"Wrong API input")
        with LOCK:
            STATE["pools"].update(asked)
        return self.answer(200, b"")


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
print(server.server_address[1], flush=True)
server.serve_forever()

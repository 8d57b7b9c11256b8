"""A Whatsminer M66 with API v3, and a client of such machines. Standard library only; written by hand from the documents.

    whatsminer_v3.py serve PASSWORD                            prints its loopback port
    whatsminer_v3.py ask HOST PORT PASSWORD CMD [PARAM]        prints the answer; PARAM is JSON
Frames are four bytes of length, little-endian, and JSON; a connection stays open. Commands need
token = base64(sha256(cmd + password + salt + ts))[:8]. Stopped it draws 14 W; started it takes 1 s to hash.
"""
import base64
import hashlib
import json
import socket
import socketserver
import struct
import sys
import threading
import time

LOCK = threading.Lock()
SALT = "BQ5hoXV9"
STATE = {"working": True, "since": time.monotonic() - 90000, "limit": 5492, "led": "auto"}


def token(cmd, password, salt, ts):
    return base64.b64encode(hashlib.sha256(f"{cmd}{password}{salt}{ts}".encode()).digest()).decode()[:8]


def receive(stream):
    """The next message; None at the end. A length of 0 is a heartbeat."""
    while True:
        head = stream.read(4)
        if len(head) < 4:
            return None
        (length,) = struct.unpack("<I", head)
        if length:
            return json.loads(stream.read(length))


def send(stream, value):
    body = json.dumps(value).encode()
    stream.write(struct.pack("<I", len(body)) + body)
    stream.flush()


def status(wanted):
    since = time.monotonic() - STATE["since"]
    hashing = STATE["working"] and since > 1
    rate, power = (275.25, min(5480, STATE["limit"])) if hashing else (0, 700 if STATE["working"] else 14)
    parts = {
        "summary": {"elapsed": int(since), "factory-hash": 276.0, "hash-realtime": rate, "hash-average": rate,
                    "power-realtime": power, "power-limit": STATE["limit"], "board-temperature": [71.5, 70.2, 72.0],
                    "chip-temp-max": 92.5, "environment-temperature": 31.0, "fan-speed-in": 0, "fan-speed-out": 0},
        "pools": [{"url": "stratum+tcp://pool.example:3333", "account": "site.r9", "stratum-active": STATE["working"]}],
        "edevs": [{"id": 0, "chip-temp-max": 91.0}, {"id": 1, "chip-temp-max": 92.5}, {"id": 2, "chip-temp-max": 90.1}],
    }
    return {name: parts[name] for name in wanted.split("+")}


def answer(asked, password):
    cmd, param = asked.get("cmd"), asked.get("param")
    if cmd == "get.device.info":
        parts = {"miner": {"working": "true" if STATE["working"] else "false", "type": "M66_VK20"},
                 "system": {"api": "3.0.3", "fwversion": "20251209.16.Rel2"}, "salt": SALT,
                 "error-code": [{"264": "2026-05-23 09:19:10", "reason": "Power xfer error"}]}
        return 0, parts if param is None else {param: parts[param]}
    if cmd == "get.miner.status":
        return (0, status(param)) if param else (-3, "param null")
    if cmd == "get.miner.setting":
        return 0, {"power-limit": STATE["limit"], "power-mode": "normal"}
    if asked.get("account") != "super" or asked.get("token") != token(cmd, password, SALT, asked.get("ts")):
        return -4, "no permission"
    if abs(asked["ts"] - time.time()) > 120:
        return -4, "no permission"
    if cmd == "set.miner.service" and param in ("start", "stop"):
        STATE.update(working=param == "start", since=time.monotonic())
    elif cmd == "set.miner.power_limit" and type(param) is int and 0 <= param <= 99999:
        STATE.update(limit=param, since=time.monotonic())
    elif cmd == "set.system.led" and (param == "auto" or {"color", "period", "duration", "start"} == set(param[0])):
        STATE["led"] = param
    elif cmd == "set.system.reboot" and "param" not in asked:
        STATE["since"] = time.monotonic()
    else:
        return -2, "invalid command"
    return 0, "ok"


class Api(socketserver.StreamRequestHandler):
    def handle(self):
        while asked := receive(self.rfile):
            with LOCK:
                code, said = answer(asked, sys.argv[2])
            send(self.wfile, {"code": code, "when": int(time.time()), "msg": said, "desc": asked.get("cmd")})


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def ask(host, port, password, cmd, param=None):
    with socket.create_connection((host, int(port)), 20) as connection, connection.makefile("rwb") as stream:
        asked = {"cmd": cmd}
        if cmd.startswith("set."):
            send(stream, {"cmd": "get.device.info", "param": "salt"})
            salt = receive(stream)["msg"]["salt"]
            ts = int(time.time())
            asked.update(ts=ts, account="super", token=token(cmd, password, salt, ts))
        if param is not None:
            asked["param"] = json.loads(param)
        send(stream, asked)
        print(json.dumps(receive(stream)), flush=True)


if sys.argv[1] == "serve":
    server = Server(("127.0.0.1", 0), Api)
    print(server.server_address[1], flush=True)
    server.serve_forever()
else:
    ask(*sys.argv[2:])

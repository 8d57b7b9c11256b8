"""An Avalon on a free loopback port, and a client of such machines. Standard library only; by hand from the documents.

    avalon.py serve json|text                 prints its port; takes requests in that dialect alone
    avalon.py ask HOST PORT REQUEST           sends the words as they are, prints all that comes until it closes
One request per connection and one at a time: a second one meanwhile is cut off. Soft-off and soft-on happen at the time
they name by its own clock, which is years behind and runs ten times as fast; soft-on closes without a word. `litestats`
is not known to it.
"""
import json
import re
import socket
import socketserver
import struct
import sys
import threading
import time

BUSY = threading.Lock()
STATE = {"off": False, "since": time.monotonic() - 90000, "due": None, "led": 0}
STARTED = time.monotonic()


def clock():
    return 1600000000 + 10 * (time.monotonic() - STARTED)


def advance():
    if STATE["due"] and clock() >= STATE["due"][0]:
        STATE.update(off=STATE["due"][1], since=time.monotonic(), due=None)


def module():
    hashing = not STATE["off"] and time.monotonic() - STATE["since"] > 1
    ghs, boards, wall = (110250.75, 3150, 3440) if hashing else (0, 0, 55)
    return (f"Ver[1346-110-23] SYSTEMSTATU[Work: In {'Idle' if STATE['off'] else 'Work'}, Hash Board: 3 ] "
            f"Elapsed[{int(time.monotonic() - STATE['since'])}] Temp[31] TMax[{82 if hashing else 0}] Fan1[5344] Fan2[5392] "
            f"PS[0 1214 {1316 if hashing else 1} {239 if hashing else 0} {boards} 1320 {wall}] GHSspd[{ghs:.2f}] "
            f"MTmax[80 82 79] SoftOFF[{5 if STATE['off'] else 0}] WORKMODE[1]")


def command(name, parameter):
    """Level, code, message, and the section with its name in JSON and in text."""
    if name == "version":
        return "S", 22, "CGMiner versions", ("VERSION", "VERSION", {
            "CGMiner": "4.11.1", "API": "3.7", "PROD": "AvalonMiner 1346-110", "MODEL": "1346-110", "VERSION": "23031701"})
    if name in ("estats", "stats"):
        return "S", 70, "CGMiner stats", ("STATS", "", {"STATS": 0, "ID": "AVA100", "MM Count": 1, "MM ID0": module()})
    if name == "pools":
        return "S", 7, "1 Pool(s)", ("POOLS", "", {
            "POOL": 0, "URL": "stratum+tcp://pool.example:3333", "User": "site.r9", "Stratum Active": True})
    if name != "ascset":
        return "E", 14, "Invalid command", None
    soft = re.fullmatch(r"0,soft(off|on),1:(\d+)", parameter or "")
    if soft and int(soft[2]) > clock():
        STATE["due"] = (int(soft[2]), soft[1] == "off")
        return None if soft[1] == "on" else ("I", 118, f"ASC 0 set info: success softoff:{soft[2]}", None)
    if parameter in ("0,led,1-0", "0,led,1-1"):
        STATE["led"] = int(parameter[-1])
    elif parameter == "0,reboot,0":
        STATE.update(off=False, since=time.monotonic(), due=None)
    else:
        return "E", 120, "ASC 0 set failed: unknown argument", None
    return "S", 119, "ASC 0 set OK", None


def words(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def answer(text):
    if sys.argv[2] == "json":
        asked = json.loads(text)
        said = command(asked["command"], asked.get("parameter"))
    else:
        name, _, parameter = text.partition("|")
        said = command(name, parameter)
    if said is None:
        return b""
    level, code, message, section = said
    now = int(clock())
    if sys.argv[2] == "json":
        whole = {"STATUS": [{"STATUS": level, "When": now, "Code": code, "Msg": message, "Description": "cgminer 4.11.1"}]}
        if section:
            whole[section[0]] = [section[2]]
        return (json.dumps({**whole, "id": 1}) + "\0").encode()
    whole = f"STATUS={level},When={now},Code={code},Msg={message},Description=cgminer 4.11.1|"
    if section:
        fields = ([section[1]] if section[1] else []) + [f"{name}={words(value)}" for name, value in section[2].items()]
        whole += ",".join(fields) + "|"
    return (whole + "\0").encode()


class Api(socketserver.BaseRequestHandler):
    def handle(self):
        if not BUSY.acquire(blocking=False):
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        try:
            text = self.request.recv(4096).decode()
            advance()
            said = answer(text)
        finally:
            # It is free again before the peer can see the answer: one that has it whole may ask the next at once.
            BUSY.release()
        self.request.sendall(said)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if sys.argv[1] == "serve":
    server = Server(("127.0.0.1", 0), Api)
    print(server.server_address[1], flush=True)
    server.serve_forever()
else:
    with socket.create_connection((sys.argv[2], int(sys.argv[3])), 20) as connection:
        connection.sendall(sys.argv[4].encode())
        held = b""
        while part := connection.recv(4096):
            held += part
    print(held.decode().rstrip("\0"), flush=True)

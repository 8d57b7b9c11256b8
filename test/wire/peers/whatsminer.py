"""A Whatsminer M30S+ with API v2 on a free loopback port, which it prints. Argument: password.

Written by hand from the vendor's documents. Standard library only; md5crypt and AES-256-ECB are the openssl command's.
Privileged commands are taken encrypted with a valid token alone. Switched off it draws 13 W; switched on it takes 2 s to
hash. A token that is not the last one given is refused with code 135.
"""
import base64
import hashlib
import json
import os
import socketserver
import subprocess
import sys
import threading
import time

PASSWORD = sys.argv[1]
LOCK = threading.Lock()
STATE = {"pools": [("stratum+tcp://pool.example:3333", "site.r9")], "off": False, "since": time.monotonic() - 90000, "limit": 3400, "restarts": 0, "led": "auto", "sign": "", "key": ""}


def openssl(*words, stdin=b""):
    return subprocess.run(["openssl", *words], input=stdin, stdout=subprocess.PIPE, check=True).stdout


def crypt(text, salt):
    """The fourth field of md5crypt, $1$."""
    return openssl("passwd", "-1", "-salt", salt, text).decode().strip().split("$")[3]


def aes(key, data, *direction):
    raw = hashlib.sha256(key.encode()).hexdigest()
    return openssl("enc", "-aes-256-ecb", "-nopad", "-K", raw, *direction, stdin=data)


def status(code, message, level=None):
    level = level or ("S" if code == 131 else "E")
    said = message if isinstance(message, str) else json.dumps(message)
    text = json.dumps(said) if isinstance(message, str) else said
    return f'{{"STATUS":"{level}","When":1700000000,"Code":{code},"Msg":{text},"Description":""}}'


def summary():
    since = time.monotonic() - STATE["since"]
    if STATE["off"]:
        rate, power = 0.0, 13
    elif since < 2:
        rate, power = 0.0, 900
    else:
        rate, power = 101234567.89, min(3345, STATE["limit"])
    return (
        '{"STATUS":[{"STATUS":"S","When":1700000000,"Code":11,"Msg":"Summary","Description":"cgminer 4.9.2"}],'
        '"SUMMARY":[{"Elapsed":%d,"MHS av":%.2f,"MHS 5s":%.2f,"MHS 1m":%.2f,"HS RT":%.2f,"Accepted":4211,'
        '"Env Temp":26.50,"Power":%d,"Power Rate":33.04,"Power Limit":%d,"Power Mode":"Normal","Fan Speed In":4410,'
        '"Fan Speed Out":4440,"Chip Temp Min":55.10,"Chip Temp Max":84.25,"Chip Temp Avg":71.00,"Factory GHS":101000,'
        '"Uptime":%d,"Upfreq Complete":1}],"id":1}' % (int(since), rate, rate, rate, rate, power, STATE["limit"], int(since))
    )


PLAIN = {
    "get_version": lambda: status(131, {"api_ver": "2.0.5", "fw_ver": "20230803.11.REL", "platform": "H616", "chip": "K26N"}),
    "devdetails": lambda: (
        '{"STATUS":[{"STATUS":"S","When":1700000000,"Code":69,"Msg":"Device Details","Description":"cgminer 4.9.2"}],'
        '"DEVDETAILS":[{"DEVDETAILS":0,"Name":"SM","ID":0,"Driver":"bitmicro","Kernel":"","Model":"M30S+_VE40"},'
        '{"DEVDETAILS":1,"Name":"SM","ID":1,"Driver":"bitmicro","Kernel":"","Model":"M30S+_VE40"}],"id":1}'
    ),
    "edevs": lambda: (
        '{"STATUS":[{"STATUS":"S","When":1700000000,"Code":9,"Msg":"2 ASC(s)","Description":"cgminer 4.9.2"}],'
        '"DEVS":[{"ASC":0,"Slot":0,"Enabled":"Y","Status":"Alive","Temperature":71.50,"Chip Temp Max":84.25},'
        '{"ASC":1,"Slot":1,"Enabled":"Y","Status":"Alive","Temperature":70.25,"Chip Temp Max":83.00}],"id":1}'
    ),
    "pools": lambda: (
        '{"STATUS":[{"STATUS":"S","When":1700000000,"Code":7,"Msg":"%d Pool(s)","Description":"cgminer 4.9.2"}],'
        '"POOLS":[%s],"id":1}' % (len(STATE["pools"]), ",".join(
            '{"POOL":%d,"URL":"%s","Status":"Alive","Priority":%d,"User":"%s","Stratum Active":%s}'
            % (place + 1, url, place, user, "false" if place else "true")
            for place, (url, user) in enumerate(STATE["pools"])))
    ),
    "summary": summary,
    "status": lambda: status(131, {
        "mineroff": "true" if STATE["off"] else "false", "mineroff_reason": "", "mineroff_time": "",
        "FirmwareVersion": "20230803.11.REL", "power_mode": "normal", "hash_percent": "0",
        "power_limit_set": str(STATE["limit"]),
    }),
}


def token():
    salt, newsalt, stamp = "BQ5hoXV9", os.urandom(4).hex(), str(int(time.time()))[-4:]
    STATE["key"] = crypt(PASSWORD, salt)
    STATE["sign"] = crypt(STATE["key"] + stamp, newsalt)
    return status(131, {"time": stamp, "salt": salt, "newsalt": newsalt})


def privileged(data):
    key = STATE["key"]
    try:
        asked = json.loads(aes(key, base64.b64decode(data), "-d").rstrip(b"\0"))
    except (ValueError, subprocess.CalledProcessError):
        return status(23, "Json error")
    if asked.get("token") != STATE["sign"]:
        return status(135, "Check token error")
    reply = carry_out(asked).encode()
    return json.dumps({"enc": base64.b64encode(aes(key, reply + b"\0" * (-len(reply) % 16))).decode()})


def carry_out(asked):
    command = asked.get("cmd")
    now = time.monotonic()
    if command == "power_off" and asked.get("respbefore") in ("true", "false"):
        STATE.update(off=True, since=now)
    elif command == "power_on":
        STATE.update(off=False, since=now)
    elif command == "adjust_power_limit" and isinstance(asked.get("power_limit"), str):
        STATE.update(limit=int(asked["power_limit"]), since=now, restarts=STATE["restarts"] + 1)
    elif command == "update_pools":
        words = [asked.get(f"{word}{place}") for place in (1, 2, 3) for word in ("pool", "worker", "passwd")]
        if set(asked) != {"cmd", "token"} | {f"{w}{p}" for p in (1, 2, 3) for w in ("pool", "worker", "passwd")}:
            return status(132, "API command ERROR")
        pools = [(words[at], words[at + 1]) for at in (0, 3, 6) if words[at] != ""]
        STATE.update(pools=pools, since=now, restarts=STATE["restarts"] + 1)
    elif command == "set_led" and (asked.get("param") == "auto" or isinstance(asked.get("period"), int)):
        STATE["led"] = asked.get("color", "auto")
    elif command == "reboot":
        STATE["since"] = now
    else:
        return status(14, "invalid cmd")
    return status(131, "API command OK")


class Api(socketserver.BaseRequestHandler):
    def handle(self):
        held = b""
        while not held.rstrip().endswith(b"}"):
            part = self.request.recv(4096)
            if not part:
                return
            held += part
        asked = json.loads(held)
        with LOCK:
            if asked.get("enc") == 1:
                answer = privileged(asked["data"])
            elif asked.get("cmd") == "get_token":
                answer = token()
            elif asked.get("cmd") in PLAIN:
                answer = PLAIN[asked["cmd"]]()
            else:
                answer = status(14, "invalid cmd")
        self.request.sendall(answer.encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


server = Server(("127.0.0.1", 0), Api)
print(server.server_address[1], flush=True)
server.serve_forever()

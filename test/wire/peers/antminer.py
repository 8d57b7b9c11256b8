"""A stock Antminer S19j Pro on free loopback ports, printed as "HTTP API". Standard library only; argument: password.

Written by hand from the vendor's documents: CGI pages behind HTTP digest on one port, the read-only cgminer API on the
other. A new configuration takes effect 400 ms after its answer; until 1 s after it the API refuses, as the restart of
the mining process makes it. Asleep it has no statistics.
"""
import hashlib
import http.server
import json
import os
import re
import socketserver
import sys
import threading
import time

PASSWORD = sys.argv[1]
REALM = "antMiner Configuration"
STARTED = time.monotonic()
LOCK = threading.Lock()

CONF = {
    "pools": [
        {"url": "stratum+tcp://pool.example:3333", "user": "site.r1", "pass": "secret 1"},
        {"url": "stratum+tcp://spare.example:443", "user": "site.r1", "pass": "x"},
        {"url": "", "user": "", "pass": ""},
    ],
    "api-listen": True,
    "bitmain-fan-ctrl": False,
    "bitmain-fan-pwm": "70",
    "bitmain-freq": "525",
    "bitmain-freq-level": "100",
    "bitmain-work-mode": "0",
    "api-allow": "A:0/0,W:*",
}
STATE = {"conf": CONF, "restart": 0.0, "blink": False}
NONCES = {}

VERSION = (
    b'{"STATUS":[{"STATUS":"S","When":1700000000,"Code":22,"Msg":"CGMiner versions","Description":"cgminer 1.0.0"}],'
    b'"VERSION":[{"BMMiner":"1.0.0","API":"3.1","Miner":"uart_trans.1.3","CompileTime":"Tue Aug 30 03:26:12 CST 2022",'
    b'"Type":"Antminer S19j Pro"}],"id":1}\x00'
)
# The older quirk is kept on purpose: no comma between the two sections.
STATS = (
    '{"STATUS":[{"STATUS":"S","When":1700000000,"Code":70,"Msg":"CGMiner stats","Description":"cgminer 1.0.0"}],'
    '"STATS":[{"BMMiner":"1.0.0","Miner":"uart_trans.1.3","CompileTime":"Tue Aug 30 03:26:12 CST 2022",'
    '"Type":"Antminer S19j Pro"}{"STATS":0,"ID":"BTM_SOC0","Elapsed":%d,"GHS 5s":"98123.45","GHS av":99500.10,'
    '"rate_30m":99480.00,"Mode":2,"miner_count":3,"frequency":525,"fan_num":4,"fan1":5880,"fan2":5910,"fan3":6000,'
    '"fan4":6030,"temp_num":3,"temp_pcb1":"60-44-61-45","temp_pcb2":"58-43-59-44","temp_pcb3":"0-0-0-0",'
    '"temp_chip1":"75-59-76-60","temp_chip2":"73-58-74-59","temp_chip3":"0-0-0-0","chain_acn1":126,"chain_acn2":126,'
    '"chain_acn3":126,"chain_acn4":0,"chain_power":"3068 W","total_rateideal":100000.0,"rate_unit":"GH"}],"id":1}\x00'
)
NO_STATS = (
    b'{"STATUS":[{"STATUS":"S","When":1700000000,"Code":70,"Msg":"CGMiner stats","Description":"cgminer 1.0.0"}],'
    b'"STATS":[],"id":1}\x00'
)
POOLS = (
    b'{"STATUS":[{"STATUS":"S","When":1700000000,"Code":7,"Msg":"3 Pool(s)","Description":"cgminer 1.0.0"}],'
    b'"POOLS":[{"POOL":0,"URL":"stratum+tcp://pool.example:3333","Status":"Alive","Priority":0,"Accepted":812,'
    b'"User":"site.r1","Stratum Active":true},{"POOL":1,"URL":"stratum+tcp://spare.example:443","Status":"Alive",'
    b'"Priority":1,"Accepted":0,"User":"site.r1","Stratum Active":false}],"id":1}\x00'
)
UNKNOWN = (
    b'{"STATUS":[{"STATUS":"E","When":1700000000,"Code":14,"Msg":"Invalid command","Description":"cgminer 1.0.0"}],'
    b'"id":1}\x00'
)


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def work_mode():
    return int(STATE["conf"]["bitmain-work-mode"])


class Api(socketserver.BaseRequestHandler):
    def handle(self):
        with LOCK:
            restart, asleep = STATE["restart"], work_mode() == 1
        if time.monotonic() < restart + 1.0 and restart:
            self.request.sendall(b"Socket connect failed: Connection refused\n")
            return
        asked = json.loads(self.request.recv(4096)).get("command")
        since = time.monotonic() - (restart or STARTED - 86400)
        stats = NO_STATS if asleep else (STATS % int(since)).encode()
        answers = {"version": VERSION, "stats": stats, "pools": POOLS}
        self.request.sendall(answers.get(asked, UNKNOWN))


class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "lighttpd/1.4.32"
    sys_version = ""

    def log_message(self, *_):
        pass

    def answer(self, status, body, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def admitted(self):
        given = self.headers.get("Authorization", "")
        field = {name: quoted or bare for name, quoted, bare in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', given)}
        nonce, count = field.get("nonce"), int(field.get("nc", "0"), 16)
        ha1 = md5(f"root:{REALM}:{PASSWORD}")
        ha2 = md5(f"{self.command}:{self.path}")
        wanted = md5(f"{ha1}:{nonce}:{field.get('nc')}:{field.get('cnonce')}:auth:{ha2}")
        with LOCK:
            fresh = nonce in NONCES and count > NONCES[nonce]
            if given.startswith("Digest ") and fresh and field.get("response") == wanted:
                NONCES[nonce] = count
                return field.get("uri") == self.path and field.get("username") == "root" and field.get("qop") == "auth"
            nonce = os.urandom(16).hex()
            NONCES[nonce] = 0
        challenge = f'Digest realm="{REALM}", nonce="{nonce}", qop="auth"'
        self.answer(401, b"401 - Unauthorized", [("WWW-Authenticate", challenge)])
        return False

    def do_GET(self):
        if not self.admitted():
            return
        with LOCK:
            conf = json.dumps(STATE["conf"], indent=1).encode()
        if self.path == "/cgi-bin/get_miner_conf.cgi":
            self.answer(200, conf)
        elif self.path == "/cgi-bin/get_system_info.cgi":
            self.answer(200, b'{"minertype":"Antminer S19j Pro","nettype":"DHCP","macaddr":"02:00:00:00:00:01",'
                             b'"hostname":"antMiner","system_filesystem_version":"Tue Aug 30 03:26:12 CST 2022"}')
        elif self.path == "/cgi-bin/get_blink_status.cgi":
            self.answer(200, json.dumps({"blink": STATE["blink"]}).encode())
        else:
            self.answer(404, b"404 - Not Found")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if not self.admitted():
            return
        if self.path == "/cgi-bin/set_miner_conf.cgi":
            self.answer(*configure(json.loads(body)))
        elif self.path == "/cgi-bin/blink.cgi":
            STATE["blink"] = json.loads(body)["blink"] in (True, "true")
            self.answer(200, b'{"code":"B000"}' if STATE["blink"] else b'{"code":"B100"}')
        else:
            self.answer(404, b"404 - Not Found")


def configure(wanted):
    """Takes the object of the vendor's page, whole or not at all."""
    keys = {"bitmain-fan-ctrl", "bitmain-fan-pwm", "miner-mode", "bitmain-work-mode", "freq-level", "pools"}
    pools = wanted.get("pools", [])
    if set(wanted) - keys or len(pools) != 3 or any(set(pool) != {"url", "user", "pass"} for pool in pools):
        return 200, b'{"stats":"error","code":"M001","msg":"Invalid parameter"}'

    def apply():
        with LOCK:
            new = dict(STATE["conf"])
            new["bitmain-work-mode"] = str(int(wanted["bitmain-work-mode"]))
            new["bitmain-fan-ctrl"] = wanted["bitmain-fan-ctrl"]
            new["bitmain-fan-pwm"] = wanted["bitmain-fan-pwm"]
            new["bitmain-freq-level"] = wanted["freq-level"]
            new["pools"] = pools
            STATE["conf"], STATE["restart"] = new, time.monotonic()

    threading.Timer(0.4, apply).start()
    return 200, b'{"stats":"success","code":"M000","msg":"OK!"}'


class ApiServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
api = ApiServer(("127.0.0.1", 0), Api)
threading.Thread(target=api.serve_forever, daemon=True).start()
print(web.server_address[1], api.server_address[1], flush=True)
web.serve_forever()

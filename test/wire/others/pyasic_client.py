"""Runs the clients of UpstreamData/pyasic, unchanged: CHECKOUT CLASS HOST PORT PASSWORD STEPS.

CLASS is "web.vnish.VNishWebAPI", "rpc.btminer.BTMinerRPCAPI" or the like, below pyasic. A step is [method, words...];
an object as the last word gives named ones. Prints the answers as one line of JSON. The packages' own __init__ are not
run: they import every miner and all it takes, of which nothing is on this wire.
"""

import asyncio
import importlib
import json
import logging
import sys
import types
import warnings

checkout, name, host, port, password, steps = sys.argv[1:7]
for package in ["pyasic", "pyasic.rpc", "pyasic.web", "pyasic.web.braiins_os"]:
    module = types.ModuleType(package)
    module.__path__ = [checkout + "/" + package.replace(".", "/")]
    sys.modules[package] = module
sys.modules["pyasic"].APIError = importlib.import_module("pyasic.errors").APIError
# Debian's httpx is older than the socket options (keep-alive) that its settings ask for.
httpx = importlib.import_module("httpx")
importlib.import_module("pyasic.settings").transport = lambda **_: httpx.AsyncHTTPTransport()
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")

file, kind = name.rsplit(".", 1)
made = getattr(importlib.import_module("pyasic." + file), kind)
client = made(host, password) if kind == "BOSerGraphQLAPI" else made(host)
client.port = int(port)
client.pwd = password


async def run():
    answers = []
    for method, *words in json.loads(steps):
        named = words.pop() if words and isinstance(words[-1], dict) else {}
        try:
            answers.append(await getattr(client, method)(*words, **named))
        except Exception as error:
            answers.append({"error": f"{type(error).__name__}: {error}"})
    return answers


print(json.dumps(asyncio.run(run()), default=str))

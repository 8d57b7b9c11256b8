"""Runs the RPC classes of UpstreamData/pyasic, unchanged: CHECKOUT CLASS HOST PORT PASSWORD STEPS.

CLASS is "btminer.BTMinerRPCAPI" or the like, below pyasic/rpc. A step is [method, words...]; an object as the last
word gives named ones. Prints the answers as one line of JSON. The packages' own __init__ are not run: they import
every miner and all it takes, of which nothing is on this wire.
"""

import asyncio
import importlib
import json
import logging
import sys
import types

checkout, name, host, port, password, steps = sys.argv[1:7]
for package in ["pyasic", "pyasic.rpc"]:
    module = types.ModuleType(package)
    module.__path__ = [checkout + "/" + package.replace(".", "/")]
    sys.modules[package] = module
logging.disable(logging.CRITICAL)

file, kind = name.split(".")
client = getattr(importlib.import_module("pyasic.rpc." + file), kind)(host, int(port))
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

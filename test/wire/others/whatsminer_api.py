"""Runs satoshi-anonymoto/whatsminer-api, unchanged: CHECKOUT HOST PORT PASSWORD STEPS.

A step is [method, command, words]: "get_read_only" or "exec_command". Prints the answers as one line of JSON.
"""

import json
import sys

try:
    import Crypto  # noqa: F401
except ImportError:
    # Debian ships the same library under its other name.
    import Cryptodome
    import Cryptodome.Cipher.AES

    sys.modules["Crypto"] = Cryptodome
    sys.modules["Crypto.Cipher"] = Cryptodome.Cipher
    sys.modules["Crypto.Cipher.AES"] = Cryptodome.Cipher.AES

checkout, host, port, password, steps = sys.argv[1:6]
sys.path.insert(0, checkout)
from whatsminer.api import WhatsminerAPI  # noqa: E402

client = WhatsminerAPI(host, password)
client.port = int(port)
answers = []
for method, command, words in json.loads(steps):
    try:
        answers.append(getattr(client, method)(command, words))
    except Exception as error:
        answers.append({"error": repr(error)})
print("\n" + json.dumps(answers))

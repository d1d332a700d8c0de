"""A command that items are told to. usage: command.py WAY, where WAY is how it behaves."""

import json
import sys
import time

way = sys.argv[1]


def answer(**said):
    print(json.dumps(said), flush=True)


held = []
for number, line in enumerate(sys.stdin):
    item = json.loads(line)
    if way == "well":
        # Out of order: in pairs, the later one first.
        held.insert(0, item["id"])
        if number % 2 == 1:
            for told in held:
                answer(id=told, ok=True)
            held = []
    elif way == "choosy":
        if item["recipient"] == "1":
            answer(id=item["id"], ok=False, retry_after=60, error="not now")
        elif item["recipient"] == "2":
            answer(id=item["id"], ok=False, dead=True, error="no such user")
        else:
            answer(id=item["id"], ok=True)
    elif number < 3:
        answer(id=item["id"], ok=True)
    elif way == "silent":
        time.sleep(3600)
    elif way == "ends":
        sys.exit(1)
    elif way == "lies":
        answer(id="somebody else's", ok=True)
    elif way == "babbles":
        print("x" * 1_000_000, flush=True)
    elif way == "cut":
        print('{"id":', end="", flush=True)
        sys.exit(0)

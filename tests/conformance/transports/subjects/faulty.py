"""Processes that do something wrong: the first argument says what. Right up to there, codes are all zero."""

from __future__ import annotations

import json
import os
import sys
import time

MODE = sys.argv[1]
ENCODING = sys.argv[2] if len(sys.argv) > 2 else "json"
OFFER = {"formats": ["E2M1"], "carriers": ["binary32"], "roundings": ["TOWARD_ZERO"]}
RECORD = {
    "protocol": 1,
    "encoding": ENCODING,
    "name": "faulty",
    "version": "1",
    "capabilities": {"operations": {"encode": OFFER}, "variants": ["left", "right"]},
    "batch": 500,
    "timeout": 0.5 if MODE == "silent" else 30,
}


def say(text: str) -> None:
    print(text, flush=True)


def start() -> None:
    print("starting", file=sys.stderr, flush=True)
    match MODE:
        case "no-line":
            sys.exit("cannot find my table")
        case "no-json":
            say("hello")
        case "list":
            say("[1]")
        case "old-protocol":
            say(json.dumps({**RECORD, "protocol": 0}))
        case "no-name":
            say(json.dumps({**RECORD, "name": ""}))
        case "no-capabilities":
            say(json.dumps({key: one for key, one in RECORD.items() if key != "capabilities"}))
        case "binary":
            say(json.dumps({**RECORD, "encoding": "binary"}))
        case "no-batch":
            say(json.dumps({**RECORD, "batch": 0}))
        case "unknown-format":
            offer = {**OFFER, "formats": ["E4M4"]}
            say(json.dumps({**RECORD, "capabilities": {"operations": {"encode": offer}}}))
        case "early":
            say(json.dumps(RECORD) + "\nready")
        case _:
            say(json.dumps(RECORD))


def answer_json(number: int, count: int) -> str:
    codes = {"codes": " ".join(["00"] * count)}
    match MODE:
        case "garbage":
            return "Traceback (most recent call last):"
        case "wrong-id":
            return json.dumps({"id": number + 1, "arrays": codes})
        case "too-few":
            return json.dumps({"id": number, "arrays": {"codes": "00"}})
        case "no-array":
            return json.dumps({"id": number, "arrays": {"code": "00"}})
        case "nothing":
            return json.dumps({"id": number})
        case "no-hex":
            return json.dumps({"id": number, "arrays": {"codes": "0g " * count}})
        case "unsupported":
            return json.dumps({"id": number, "unsupported": "no table for this"})
        case "error":
            return json.dumps({"id": number, "error": "the table is empty"})
        case "refuses":
            return json.dumps({"id": number, "arrays": {"codes": "-1 " * count}})
        case "variant":
            code = {"left": "01", "right": "02"}.get(os.environ.get("MXEMU_VARIANT", ""), "00")
            return json.dumps({"id": number, "arrays": {"codes": f"{code} " * count}})
    return json.dumps({"id": number, "arrays": codes})


def answer_hex(line: str) -> str:
    match MODE:
        case "too-few":
            return ""
        case "too-many":
            return "00 00"
        case "no-hex":
            return "zero"
        case "unsupported":
            return "unsupported no table for this"
        case "error" if line.split()[4] == "40c00000":  # 6 alone
            return "error six is too much"
        case "refuses":
            return "-1"
        case "wide":
            return "ffffffffffffffffffff"
    return "0"


def main() -> None:
    start()
    for number, line in enumerate(sys.stdin, 1):
        if not line.strip():
            sys.stdout.flush()
            continue
        if MODE == "ends" and number > 1:
            print("out of paper", file=sys.stderr)
            sys.exit(3)
        if MODE == "dies" and number > 1:
            os.abort()
        if MODE == "silent":
            print("thinking", file=sys.stderr, flush=True)
            time.sleep(60)
        if MODE == "closes":
            os.close(1)
            time.sleep(60)
        if ENCODING == "hex":
            say(answer_hex(line))
        else:
            request = json.loads(line)
            more = "\nand one more thing" if MODE == "talks" else ""
            say(answer_json(request["id"], request["shapes"]["values"][0]) + more)


main()

"""A client written for camisole, with nothing but Python's own library: what it relied on there must hold here.

    CAMISOLE_URL=http://127.0.0.1:42920 python3 camisole_client.py
"""

import json
import os
import urllib.error
import urllib.request

URL = os.environ["CAMISOLE_URL"]


def ask(path, data=None, headers=None):
    request = urllib.request.Request(URL + path, data=data, headers=headers or {})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers.get_content_type(), answer.read()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers.get_content_type(), answer.read()


def run(**job):
    status, kind, body = ask("/run", json.dumps(job).encode(), {"Content-Type": "application/json"})
    assert kind == "application/json", kind
    return status, json.loads(body)


# The sample of camisole's own documentation.
status, answer = run(
    lang="python",
    source="print(input())",
    tests=[{"name": "test000", "stdin": "Hello"}, {"name": "test001", "stdin": "world", "time": 1, "mem": 100000}],
)
assert status == 200 and answer["success"], answer
assert [test["stdout"] for test in answer["tests"]] == ["Hello\n", "world\n"], answer
assert set(answer["tests"][0]) == {"name", "stdout", "stderr", "exitcode", "meta"}, answer
assert set(answer["tests"][0]["meta"]) == {
    "cg-mem", "cg-oom-killed", "csw-forced", "csw-voluntary", "exitcode", "exitsig", "exitsig-message", "killed", "max-rss",
    "message", "status", "time", "wall-time",
}, answer
meta = answer["tests"][0]["meta"]
assert meta["status"] == "OK" and meta["killed"] is False and meta["message"] is None and meta["exitsig-message"] is None, meta
assert isinstance(meta["time"], float) and isinstance(meta["wall-time"], float) and isinstance(meta["cg-mem"], int), meta

# A compiled language, with options of both steps.
status, answer = run(
    lang="C",
    source='#include <stdio.h>\nint main(void) { int n; scanf("%d", &n); printf("%d\\n", 2 * n); return n; }',
    compile={"wall-time": 20},
    execute={"time": 1, "wall-time": 5, "mem": 50000, "processes": 1},
    tests=[{"stdin": "0"}, {"stdin": "3", "fatal": True}, {"stdin": "4"}],
)
assert answer["compile"]["exitcode"] == 0 and answer["compile"]["meta"]["status"] == "OK", answer
first, second, third = answer["tests"]
assert (first["stdout"], first["exitcode"], first["name"]) == ("0\n", 0, "test000"), first
assert (second["stdout"], second["exitcode"], second["meta"]["exitcode"]) == ("6\n", 1, 3), second
assert second["meta"]["message"] == "Exited with error status 3" and third == {}, answer

# Limits.
status, answer = run(lang="python", source="while True: pass", execute={"time": 0.3})
meta = answer["tests"][0]["meta"]
assert (meta["status"], meta["killed"]) == ("TIMED_OUT", True) and "time limit exceeded" in meta["message"].lower(), meta
status, answer = run(lang="python", source="import time; time.sleep(9)", execute={"wall-time": 0.3})
meta = answer["tests"][0]["meta"]
assert meta["status"] == "TIMED_OUT" and "wall" in meta["message"], meta

# Mistakes.
status, answer = run(source="x")
assert status == 200 and answer == {"success": False, "error": "malformed payload: .lang: expected a string, got nothing"}, answer
status, answer = run(lang="nothing", source="x")
assert status == 500 and not answer["success"] and "incorrect language nothing" in answer["error"].lower(), answer
assert "Traceback" not in answer["error"], answer
status, kind, body = ask("/run", b"{", {"Content-Type": "application/json"})
assert status == 400 and json.loads(body)["error"] == "malformed application/json", body
assert ask("/run")[0] == 405 and ask("/nothing")[0] == 404

# The rest of the interface.
assert ask("/")[2].startswith(b"Welcome to Camisole")
languages = json.loads(ask("/languages")[2])["languages"]
assert languages["c"]["name"] == "C" and "python3" in languages["python"]["programs"], languages
assert json.loads(ask("/system")[2])["system"]["cpu_count"] > 0
print("all as it was")

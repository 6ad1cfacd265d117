"""Times calls of the published client of `sandbox.v1`; prints a JSON object of milliseconds by call.

usage: published.py ENDPOINT ROUNDS
"""

import json
import sys
import time

from agentfense import SandboxClient

ENDPOINT, ROUNDS = sys.argv[1], int(sys.argv[2])
RULES = [{"pattern": "**/*", "permission": "write"}]
took = {"life": [], "create": [], "exec": [], "session": []}


def timed(name, call):
    started = time.perf_counter()
    result = call()
    took[name].append((time.perf_counter() - started) * 1e3)
    return result


with SandboxClient(endpoint=ENDPOINT) as client:
    codebase = client.create_codebase(name="timed", owner_id="timed")
    client.upload_file(codebase.id, "a", b"1")

    def create():
        return client.create_sandbox(codebase_id=codebase.id, permissions=RULES)

    def life():
        sandbox = create()
        client.start_sandbox(sandbox.id)
        assert client.exec(sandbox.id, command="true").exit_code == 0
        client.destroy_sandbox(sandbox.id)

    sandbox = create()
    client.start_sandbox(sandbox.id)
    with client.session(sandbox.id) as session:
        for _ in range(ROUNDS):
            timed("life", life)
            client.destroy_sandbox(timed("create", create).id)
            assert timed("exec", lambda: client.exec(sandbox.id, command="true")).exit_code == 0
            assert timed("session", lambda: session.exec("true")).exit_code == 0
    client.destroy_sandbox(sandbox.id)
    client.delete_codebase(codebase.id)
print(json.dumps(took))

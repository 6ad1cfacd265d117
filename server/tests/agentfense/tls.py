"""gRPC over TLS by its C library: with certificates of our own (`mutual`), and by AgentFense's client as it is (`published`).

usage: tls.py ENDPOINT DIRECTORY WORD     DIRECTORY holds servers.pem and the papers of ann, bob, carl and forged
"""

import os
import sys
from pathlib import Path

ENDPOINT, DIRECTORY, WORD = sys.argv[1:]
# Read by the library when it is loaded.
os.environ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = f"{DIRECTORY}/servers.pem"

import grpc
from agentfense import Sandbox, SandboxClient
from agentfense._gen import codebase_pb2, codebase_pb2_grpc, sandbox_pb2, sandbox_pb2_grpc


def stub(name):
    def read(file):
        return Path(DIRECTORY, file).read_bytes()

    own = (read(f"{name}.key"), read(f"{name}.crt")) if name else (None, None)
    credentials = grpc.ssl_channel_credentials(read("servers.pem"), *own)
    channel = grpc.secure_channel(ENDPOINT, credentials)
    return sandbox_pb2_grpc.SandboxServiceStub(channel), codebase_pb2_grpc.CodebaseServiceStub(channel)


def code(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def mutual():
    def listing(name):
        return code(lambda: stub(name)[0].ListSandboxes(sandbox_pb2.ListSandboxesRequest(), timeout=30))

    assert listing("ann") == listing("bob") == grpc.StatusCode.OK
    assert listing("carl") == grpc.StatusCode.UNAUTHENTICATED
    assert listing("forged") == listing(None) == grpc.StatusCode.UNAVAILABLE
    (ann, codebases), (bob, _) = stub("ann"), stub("bob")
    codebase = codebases.CreateCodebase(codebase_pb2.CreateCodebaseRequest(name="n", owner_id="o"))
    made = ann.CreateSandbox(sandbox_pb2.CreateSandboxRequest(codebase_id=codebase.id))
    ask = sandbox_pb2.GetSandboxRequest(sandbox_id=made.id)
    assert ann.GetSandbox(ask).id == made.id
    assert code(lambda: bob.GetSandbox(ask)) == grpc.StatusCode.NOT_FOUND
    assert code(lambda: bob.DestroySandbox(sandbox_pb2.DestroySandboxRequest(sandbox_id=made.id))) == grpc.StatusCode.NOT_FOUND
    ann.DestroySandbox(sandbox_pb2.DestroySandboxRequest(sandbox_id=made.id))


def published():
    project = Path(DIRECTORY, "project")
    project.mkdir()
    (project / "a.txt").write_text("hi\n")
    with Sandbox.from_local(str(project), preset="full-access", endpoint=ENDPOINT, secure=True) as sandbox:
        result = sandbox.run("cat a.txt")
        assert (result.exit_code, result.stdout) == (0, "hi\n"), result
    # Without TLS there is no answer.
    plain = SandboxClient(endpoint=ENDPOINT)
    try:
        plain.list_sandboxes()
        raise AssertionError("an answer in the clear")
    except Exception as error:
        assert not isinstance(error, AssertionError), error


{"mutual": mutual, "published": published}[WORD]()
print("all is well")

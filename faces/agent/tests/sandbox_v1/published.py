"""What the published client sees (PyPI: agentfense). Arguments: an endpoint."""

import asyncio
import sys
from datetime import timedelta

import grpc
from agentfense import AsyncSandbox, Permission, PermissionRule, RuntimeType, Sandbox, SandboxClient
from agentfense import exceptions as wrong
from agentfense.types import ResourceLimits

endpoint = sys.argv[1]


def fails(kind, call):
    try:
        call()
    except kind as error:
        assert type(error) is kind, (kind, error)
        return error
    raise AssertionError(f"no {kind}")


def low_level():
    with SandboxClient(endpoint=endpoint) as client:
        codebase = client.create_codebase(name="demo", owner_id="me")
        content = bytes(range(256)) * 1024
        uploaded = client.upload_file(codebase.id, "/dir/data.bin", content)
        assert (uploaded.file_path, uploaded.size) == ("dir/data.bin", len(content)), uploaded
        assert client.download_file(codebase.id, "dir/data.bin") == content
        assert [file.path for file in client.list_files(codebase.id, recursive=True)] == ["dir/data.bin"]
        rules = [PermissionRule(pattern="**/*", permission=Permission.READ), {"pattern": "/docs/**", "permission": "write"}]
        sandbox = client.create_sandbox(
            codebase.id, permissions=rules, labels={"a": "b"}, expires_in=timedelta(hours=1.5), resources=ResourceLimits(pids_limit=50)
        )
        assert sandbox.labels == {"a": "b"} and sandbox.resources.pids_limit == 50 and sandbox.expires_at is not None
        assert [rule.permission for rule in sandbox.permissions] == [Permission.READ, Permission.WRITE]
        fails(wrong.SandboxError, lambda: client.exec(sandbox.id, "echo x"))
        client.start_sandbox(sandbox.id)
        assert [one.id for one in client.list_sandboxes(codebase.id)] == [sandbox.id]
        result = client.exec(sandbox.id, "echo hello")
        assert (result.stdout, result.stderr, result.exit_code, result.duration) == ("hello\n", "", 0, timedelta(seconds=1.5)), result
        assert client.exec(sandbox.id, "cat", stdin="typed").stdout == "typed"
        assert client.exec(sandbox.id, "err told").stderr == "told\n"
        assert client.exec(sandbox.id, "exit 42").exit_code == 42
        assert client.exec(sandbox.id, "bytes").stdout == "\ufffd\0a"
        assert len(client.exec(sandbox.id, "large 9000000").stdout) < 4 << 20
        fails(wrong.CommandTimeoutError, lambda: client.exec(sandbox.id, "wait", timeout=timedelta(milliseconds=50)))
        assert b"".join(client.exec_stream(sandbox.id, "large 1000000")) == b"x" * 1000000
        pieces = []
        error = fails_stream(client.exec_stream(sandbox.id, "exit 3"), pieces)
        assert error.code() == grpc.StatusCode.INTERNAL and error.details() == "failed to execute command: exit status 3"
        with client.session(sandbox.id) as session:
            assert session.exec("echo in session").stdout == "in session\n"
            assert len(client.list_sessions(sandbox.id)) == 1
        fails(wrong.SandboxError, lambda: client.session_exec(session.id, "echo x"))
        fails(wrong.SandboxError, lambda: client.get_sandbox("sb_ffffffffffffffff"))
        fails(wrong.InvalidConfigurationError, lambda: client.get_sandbox("none"))
        fails(wrong.InvalidConfigurationError, lambda: client.create_codebase(name="", owner_id="me"))
        client.stop_sandbox(sandbox.id)
        client.destroy_sandbox(sandbox.id)
        client.delete_codebase(codebase.id)


def fails_stream(stream, pieces):
    try:
        pieces.extend(stream)
    except grpc.RpcError as error:
        return error
    raise AssertionError("the stream went well")


def high_level(directory):
    with open(f"{directory}/a.txt", "w") as file:
        file.write("content")
    with Sandbox.from_local(directory, endpoint=endpoint, preset="full-access", runtime=RuntimeType.BWRAP) as sandbox:
        assert sandbox.run("echo one line").stdout == "one line\n"
        assert sandbox.read_file("/workspace/a.txt") == "content"
        sandbox.write_file("/workspace/b.txt", "more")
        assert sorted(sandbox.list_files(recursive=True)) == ["a.txt", "b.txt"], sandbox.list_files(recursive=True)
        fails(wrong.CommandExecutionError, lambda: sandbox.run("exit 5", raise_on_error=True))


async def asynchronous(directory):
    async with await AsyncSandbox.from_local(directory, endpoint=endpoint, preset="read-only") as sandbox:
        assert (await sandbox.run("echo again")).stdout == "again\n"


low_level()
high_level(sys.argv[2])
asyncio.run(asynchronous(sys.argv[2]))
print("well")

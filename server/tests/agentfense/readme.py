"""The examples of AgentFense's README, with nothing changed but where the server is.

usage: readme.py ENDPOINT DIRECTORY     DIRECTORY holds my-project, and is writable
"""

import asyncio
import os
import sys
from datetime import timedelta

from agentfense import (
    AsyncSandbox,
    CommandExecutionError,
    CommandTimeoutError,
    PatternType,
    Permission,
    PermissionRule,
    ResourceLimits,
    RuntimeType,
    Sandbox,
    SandboxClient,
    SandboxError,
    extend_preset,
    get_preset,
    list_presets,
)

ENDPOINT, DIRECTORY = sys.argv[1:]
os.chdir(DIRECTORY)


def quick_start():
    # The README says that this is agent-safe; the client sends view-only, and the server is configured to take its default for that.
    with Sandbox.from_local("./my-project", endpoint=ENDPOINT) as sandbox:
        result = sandbox.run("python3 main.py")
        assert (result.exit_code, result.stdout, result.stderr) == (0, "hello from main\n", ""), result


def docker_runtime_with_limits():
    with Sandbox.from_local(
        "./my-project",
        preset="agent-safe",
        runtime=RuntimeType.DOCKER,
        image="python:3.11-slim",
        resources=ResourceLimits(memory_bytes=512 * 1024 * 1024, pids_limit=100),
        endpoint=ENDPOINT,
    ) as sandbox:
        assert sandbox.runtime == RuntimeType.DOCKER and sandbox.info.image == "python:3.11-slim"
        with sandbox.session() as session:
            assert session.exec("cd /workspace").exit_code == 0
            result = session.exec("cat /etc/os-release-of-the-image && pwd")
            assert result.stdout == "image\n/workspace\n", result


def presets():
    assert list_presets() == ["agent-safe", "development", "full-access", "read-only", "view-only"]
    rules = extend_preset("agent-safe", additions=[{"pattern": "/custom/**", "permission": "write"}])
    with Sandbox.from_local("./my-project", preset="agent-safe", permissions=rules, endpoint=ENDPOINT) as sandbox:
        result = sandbox.run("ls -A; cat .env; cat secrets/key; cat app/secrets/deep; cat .git/config; echo x > custom/made && cat custom/made")
        names = result.stdout.split()
        assert names[-1] == "x" and "main.py" in names and not {".env", "secrets", ".git", "server.pem"} & set(names), result
        assert result.stderr.count("No such file or directory") == 4, result


def error_handling():
    with Sandbox.from_local("./my-project", preset="read-only", endpoint=ENDPOINT) as sandbox:
        try:
            sandbox.run("echo partial; sleep 30", timeout=1, raise_on_error=True)
            raise AssertionError("no timeout")
        except CommandTimeoutError:
            pass
        try:
            sandbox.run("echo told >&2; exit 42", raise_on_error=True)
            raise AssertionError("no error")
        except CommandExecutionError as error:
            assert (error.exit_code, error.stderr) == (42, "told\n"), error
    try:
        Sandbox.connect("sb_0123456789abcdef", endpoint=ENDPOINT)
        raise AssertionError("a sandbox that is not there")
    except SandboxError:
        pass


def low_level():
    client = SandboxClient(endpoint=ENDPOINT)
    codebase = client.create_codebase(name="my-project", owner_id="user_123")
    client.upload_file(codebase.id, "hello.py", b'print("Hello, World!")')
    sandbox = client.create_sandbox(
        codebase_id=codebase.id,
        permissions=[{"pattern": "**/*.py", "permission": "read"}, {"pattern": "/docs/**", "permission": "write"}],
    )
    client.start_sandbox(sandbox.id)
    result = client.exec(sandbox.id, command="python3 hello.py")
    assert result.stdout == "Hello, World!\n", result
    client.destroy_sandbox(sandbox.id)
    client.delete_codebase(codebase.id)
    client.close()


def levels_and_patterns():
    client = SandboxClient(endpoint=ENDPOINT)
    codebase = client.create_codebase(name="levels", owner_id="user_123")
    for path, content in [("a.py", b"1"), ("docs/b", b"22"), ("config.yaml", b"333"), ("other", b"4444")]:
        client.upload_file(codebase.id, path, content)
    permissions = [
        PermissionRule(pattern="**/*.py", permission=Permission.READ),
        PermissionRule(pattern="/docs/", permission=Permission.WRITE, type=PatternType.DIRECTORY),
        PermissionRule(pattern="/config.yaml", permission=Permission.VIEW, type=PatternType.FILE),
    ]
    sandbox = client.create_sandbox(codebase_id=codebase.id, permissions=permissions)
    client.start_sandbox(sandbox.id)
    result = client.exec(sandbox.id, command="ls; stat -c %s config.yaml; cat config.yaml; echo no > a.py; echo new > docs/b; cat docs/b other")
    assert result.stdout == "a.py\nconfig.yaml\ndocs\n3\nnew\n", result
    for word in ["config.yaml: Permission denied", "cannot create a.py: Permission denied", "other: No such file or directory"]:
        assert word in result.stderr, result
    client.destroy_sandbox(sandbox.id)
    client.delete_codebase(codebase.id)
    client.close()


def stateful_sessions():
    client = SandboxClient(endpoint=ENDPOINT)
    codebase = client.create_codebase(name="sessions", owner_id="user_123")
    client.upload_file(codebase.id, "src/main.py", b"import os; print(os.environ['DEBUG'], os.getcwd())")
    sandbox = client.create_sandbox(codebase_id=codebase.id, permissions=[{"pattern": "**/*", "permission": "write"}])
    client.start_sandbox(sandbox.id)
    with client.session(sandbox.id) as session:
        session.exec("cd /workspace/src")
        session.exec("export DEBUG=1")
        result = session.exec("python3 main.py")
        assert result.stdout == "1 /workspace/src\n", result
        assert [found.id for found in client.list_sessions(sandbox.id)] == [session.id]
    with client.session(sandbox.id, shell="/bin/bash", env={"A": "b"}) as session:
        assert session.exec("echo $A ${BASH_VERSION%%.*} | tr -d '0-9'").stdout == "b \n"
        assert session.exec("false").exit_code == 1
    client.destroy_sandbox(sandbox.id)
    client.delete_codebase(codebase.id)
    client.close()


def command_execution():
    with SandboxClient(endpoint=ENDPOINT) as client:
        codebase = client.create_codebase(name="commands", owner_id="user_123")
        client.upload_file(codebase.id, "src/script.py", b"import sys, os; print(sys.stdin.read(), os.environ['DEBUG'], os.getcwd()); print('e', file=sys.stderr)")
        sandbox = client.create_sandbox(codebase_id=codebase.id, permissions=[{"pattern": "**/*", "permission": "read"}])
        client.start_sandbox(sandbox.id)
        result = client.exec(
            sandbox_id=sandbox.id,
            command="python3 script.py",
            stdin="input data",
            env={"DEBUG": "1"},
            workdir="/workspace/src",
            timeout=timedelta(seconds=30),
        )
        assert (result.exit_code, result.stdout, result.stderr) == (0, "input data 1 /workspace/src\n", "e\n"), result
        assert result.duration > timedelta(0)
        chunks = list(client.exec_stream(sandbox.id, command="echo one; sleep 0.2; echo two >&2"))
        assert b"".join(chunks) == b"one\ntwo\n", chunks
        client.destroy_sandbox(sandbox.id)
        client.delete_codebase(codebase.id)


def file_operations():
    with Sandbox.from_local("./my-project", preset="full-access", endpoint=ENDPOINT) as sandbox:
        client, codebase = sandbox._client, sandbox.codebase
        assert "lib/tool.py" in [found.path for found in client.list_files(codebase.id, path="", recursive=True)]
        assert client.download_file(codebase.id, "main.py").decode().startswith("print")
        result = client.upload_file(codebase.id, "new_file.txt", b"file content")
        assert (result.size, result.checksum) == (12, "d10b4c3ff123b26dc068d43a8bef2d23"), result
        # A running sandbox sees what is uploaded, and what it writes is seen in the codebase.
        sandbox.write_file("/workspace/script.sh", "echo from $0\n")
        assert sandbox.run("sh script.sh; cat new_file.txt").stdout == "from script.sh\nfile content", "uploads show up"
        sandbox.run("echo made inside > made; rm new_file.txt; mkdir -p a/b && echo deep > a/b/c")
        assert sandbox.read_file("/workspace/made") == "made inside\n"
        assert sandbox.read_file("/workspace/a/b/c") == "deep\n"
        names = sandbox.list_files("/workspace", recursive=True)
        assert "made" in names and "new_file.txt" not in names, names
        # Also while a session lives, and it lives on.
        with sandbox.session() as session:
            session.exec("cd a/b; X=kept")
            sandbox.write_file("/workspace/a/b/c", "newer\n")
            assert session.exec("cat c; echo $X").stdout == "newer\nkept\n"
            session.exec("echo last > c")
            assert sandbox.read_file("/workspace/a/b/c") == "last\n"
            assert session.exec("echo $X").stdout == "kept\n"


def asynchronous():
    async def run():
        async with await AsyncSandbox.from_local("./my-project", preset="agent-safe", endpoint=ENDPOINT) as sandbox:
            results = await asyncio.gather(*(sandbox.run(f"echo {number}") for number in range(8)))
            assert [result.stdout for result in results] == [f"{number}\n" for number in range(8)]
            session = await sandbox.session()
            async with session:
                await session.exec("cd /tmp")
                assert (await session.exec("pwd")).stdout == "/tmp\n"

    asyncio.run(run())


for example in [
    quick_start,
    docker_runtime_with_limits,
    presets,
    error_handling,
    low_level,
    levels_and_patterns,
    stateful_sessions,
    command_execution,
    file_operations,
    asynchronous,
]:
    example()
    print("ok", example.__name__, flush=True)
assert get_preset("view-only")[0].permission == Permission.VIEW

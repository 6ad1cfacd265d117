//! Real programs under the default filter: what people will run first.

use std::path::Path;
use std::time::Duration;

use enclos_testkit::{Outcome, Run, World};
use enclos_tests_e2e::both;

/// False, with a line on stderr, where one of these files is not there.
fn there(test: &str, files: &[&str]) -> bool {
    let missing = files.iter().find(|file| !Path::new(file).exists());
    if let Some(missing) = missing {
        enclos_testkit::skip(test, &format!("no {missing} here"));
    }
    missing.is_none()
}

fn sh(world: &World, flags: &[&str], script: &str) -> Outcome {
    Run::new(world).flags(flags.iter().copied()).sh(script).within(Duration::from_secs(110)).output()
}

fn assert_prints(world: &World, flags: &[&str], script: &str, wanted: &str) {
    let outcome = sh(world, flags, script);
    assert_eq!((outcome.code, outcome.out().trim()), (Some(0), wanted), "{}", outcome.describe());
}

const PYTHON: &str = "
import concurrent.futures, hashlib, multiprocessing, os, ssl, subprocess, sqlite3, tempfile, threading, time

def square(n):
    return n * n

if __name__ == '__main__':
    results = []
    threads = [threading.Thread(target=lambda i=i: results.append(i)) for i in range(20)]
    [t.start() for t in threads]; [t.join() for t in threads]
    print('threads', len(results))
    print('subprocess', subprocess.run(['sh', '-c', 'echo a | tr a b'], capture_output=True, text=True).stdout.strip())
    with multiprocessing.Pool(3) as pool:
        print('pool', sum(pool.map(square, range(10))))
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        print('executor', sum(pool.map(square, range(10))))
    with tempfile.TemporaryDirectory() as place:
        base = sqlite3.connect(os.path.join(place, 'base'))
        base.execute('pragma journal_mode=wal'); base.execute('create table t (x)'); base.execute('insert into t values (42)'); base.commit()
        print('sqlite', base.execute('select x from t').fetchone()[0])
    print('hash', hashlib.sha256(b'x').hexdigest()[:8], bool(ssl.create_default_context()), time.get_clock_info('monotonic').monotonic)
";

both! {
    fn python(world) {
        if there("python", &["/usr/bin/python3"]) {
            world.make_file("work/main.py", PYTHON.as_bytes());
            let wanted = "threads 20\nsubprocess b\npool 285\nexecutor 285\nsqlite 42\nhash 2d711642 True True";
            assert_prints(world, &[], "python3 main.py", wanted);
        }
    }

    fn python_within_a_memory_limit_or_refused(world) {
        if there("python_within_a_memory_limit_or_refused", &["/usr/bin/python3"]) {
            let outcome = sh(world, &["--memory", "64M"], "python3 -c 'x = bytearray(300 << 20)'");
            assert!(outcome.verdict() == enclos_spec::Verdict::OutOfMemory || outcome.code == Some(125), "{}", outcome.describe());
        }
    }

    fn numpy(world) {
        let has = std::process::Command::new("/usr/bin/python3").args(["-c", "import numpy"]).stderr(std::process::Stdio::null()).status();
        if !has.is_ok_and(|status| status.success()) {
            return enclos_testkit::skip("numpy", "the system's Python has no numpy");
        }
        let script = "python3 -c 'import numpy as n; a = n.random.rand(300, 300); print(n.allclose(a @ n.linalg.inv(a), n.eye(300), atol=1e-6), n.fft.fft(n.ones(8)).real[0])'";
        assert_prints(world, &[], script, "True 8.0");
    }

    fn java_jvm(world) {
        if there("java_jvm", &["/usr/bin/javac", "/usr/bin/java"]) {
            let source = "import java.util.stream.*; public class Main { public static void main(String[] a) throws Exception {
                var threads = IntStream.range(0, 8).mapToObj(i -> new Thread(() -> {})).toList();
                for (var t : threads) t.start();
                for (var t : threads) t.join();
                var child = new ProcessBuilder(\"echo\", \"child\").start();
                System.out.println(new String(child.getInputStream().readAllBytes()).trim());
                System.out.println(IntStream.rangeClosed(1, 100).parallel().sum() + \" \" + java.security.MessageDigest.getInstance(\"SHA-256\").getDigestLength());
            } }";
            world.make_file("work/Main.java", source.as_bytes());
            assert_prints(world, &[], "javac -d /tmp Main.java && java -cp /tmp Main", "child\n5050 32");
        }
    }

    fn golang(world) {
        if there("golang", &["/usr/bin/go"]) {
            let source = "package main
import (\"fmt\"; \"os/exec\"; \"sync\")
func main() {
    var group sync.WaitGroup
    sum := make(chan int, 100)
    for i := 0; i < 100; i++ { group.Add(1); go func(n int) { defer group.Done(); sum <- n }(i) }
    group.Wait(); close(sum)
    total := 0
    for n := range sum { total += n }
    out, err := exec.Command(\"echo\", \"child\").Output()
    fmt.Println(total, string(out), err)
}";
            world.make_file("work/main.go", source.as_bytes());
            assert_prints(world, &["--env", "GOFLAGS=-mod=mod", "--env", "GO111MODULE=off"], "go run main.go", "4950 child\n <nil>");
        }
    }

    fn node(world) {
        if there("node", &["/usr/bin/node"]) {
            let source = "const { Worker, isMainThread, parentPort } = require('worker_threads');
if (isMainThread) {
  new Worker(__filename).on('message', (text) => {
    console.log(text, require('child_process').execSync('echo child').toString().trim(), require('crypto').createHash('sha256').update('x').digest('hex').slice(0, 8));
    require('fs').writeFileSync('/tmp/file', 'x'); setTimeout(() => console.log(require('zlib').gzipSync('x').length > 0), 10);
  });
} else parentPort.postMessage('worker');";
            world.make_file("work/main.js", source.as_bytes());
            assert_prints(world, &[], "node main.js", "worker child 2d711642\ntrue");
        }
    }

    fn gcc_and_make(world) {
        if there("gcc_and_make", &["/usr/bin/gcc", "/usr/bin/make"]) {
            world.make_file("work/main.c", b"#include <stdio.h>\n#include <pthread.h>\nstatic void *f(void *x) { return x; }\nint main(void) { pthread_t t; void *r; pthread_create(&t, 0, f, (void *)42L); pthread_join(t, &r); printf(\"%ld\\n\", (long)r); return 0; }\n");
            world.make_file("work/Makefile", b"/tmp/main: /tmp/main.o\n\tgcc -o $@ $< -pthread\n/tmp/main.o: main.c\n\tgcc -O2 -c -o $@ $<\n");
            assert_prints(world, &[], "make -s -j2 && /tmp/main", "42");
            if Path::new("/usr/bin/g++").exists() {
                world.make_file("work/main.cc", b"#include <iostream>\n#include <thread>\nint main() { int n = 0; std::thread t([&] { n = 7; }); t.join(); std::cout << n << std::endl; }\n");
                assert_prints(world, &[], "g++ -o /tmp/a main.cc -pthread && /tmp/a", "7");
            }
        }
    }

    fn git(world) {
        let Some(git) = enclos_testkit::find_program(&["git"]) else { return enclos_testkit::skip("git", "no git here") };
        let script = "set -e; cd /tmp; git init -q repo; cd repo; git config user.email a@b; git config user.name A; echo one > file; git add .; \
                      git commit -qm first; echo two >> file; git commit -qam second; cd ..; git clone -q repo copy; cd copy; git log --oneline | wc -l; \
                      git worktree add -q ../tree; git gc -q; git fsck 2>/dev/null; cat ../tree/file | wc -l";
        let script = script.replace("git ", &format!("{} ", git.display()));
        assert_prints(world, &[], &script, "2\n2");
    }

    fn git_in_a_repository_of_the_host(world) {
        let Some(git) = enclos_testkit::find_program(&["git"]) else { return enclos_testkit::skip("git_in_a_repository_of_the_host", "no git here") };
        let project = world.make_dir("out/project").display().to_string();
        let git = git.display();
        let script = format!("set -e; cd {project}; {git} init -q; {git} config user.email a@b; {git} config user.name A; echo x > file; {git} add file; {git} commit -qm first; {git} status --short | wc -l");
        assert_prints(world, &["--rw", &project], &script, "0");
        assert!(world.path("out/project/.git/HEAD").exists());
    }

    fn sqlite(world) {
        if there("sqlite", &["/usr/bin/sqlite3"]) {
            let script = "sqlite3 /tmp/base 'pragma journal_mode=wal; create table t (x); insert into t values (1), (2);' && \
                          for i in 1 2 3 4; do sqlite3 -cmd '.timeout 5000' /tmp/base \"insert into t values ($i)\" & done; wait; sqlite3 /tmp/base 'select count(*) from t'";
            assert_prints(world, &[], script, "wal\n6");
        }
    }

    fn common_tools(world) {
        let script = "set -e; cd /tmp; mkdir a; seq 1 100 > a/numbers; tar czf a.tgz a; rm -r a; tar xzf a.tgz; sort -rn a/numbers | head -n 1; \
                      find . -name numbers | xargs wc -l | cut -d' ' -f1; cp -a a b; ln b/numbers b/hard; mkfifo pipe; (echo through > pipe &) ; cat pipe; \
                      date +%Y | grep -c 20; df /tmp >/dev/null; nproc >/dev/null; awk 'BEGIN { print 6 * 7 }'; flock lock echo locked; timeout 5 echo timed";
        assert_prints(world, &[], script, "100\n100\nthrough\n1\n42\nlocked\ntimed");
    }

    fn perl_and_bash(world) {
        assert_prints(world, &[], "bash -c 'a=(1 2 3); echo ${#a[@]}; cat < <(echo substituted); coproc cat; echo x >&${COPROC[1]}; read y <&${COPROC[0]}; echo $y'", "3\nsubstituted\nx");
        if there("perl_and_bash", &["/usr/bin/perl"]) {
            assert_prints(world, &[], "perl -e 'if (my $p = fork) { waitpid($p, 0); print $? >> 8, qq(\\n) } else { exit 9 }'", "9");
        }
    }

    fn name_look_ups_do_not_hang(world) {
        let outcome = sh(world, &["--wall", "20s"], "getent passwd $(id -u) >/dev/null && getent hosts localhost >/dev/null; echo $?; getent hosts example.invalid; echo done");
        assert!(outcome.out().contains("done"), "{}", outcome.describe());
    }

    fn a_sandbox_inside_a_sandbox_is_refused_cleanly(world) {
        let tool = enclos_testkit::run::program(world);
        let tool = tool.display().to_string();
        let outcome = sh(world, &["--ro", &tool], &format!("{tool} run -- echo inner; echo $?"));
        assert!(!outcome.out().contains("inner") && outcome.out().trim() == "125", "{}", outcome.describe());
    }
}

//! Tools that people use, in a workspace (W-25 to W-27).

use crate::world::{World, all};

/// A sandbox on these files in which this program is there; else says that the test is skipped.
fn with(program: &str, name: &str, files: &[(&str, &str)]) -> Option<(World, String)> {
    let world = World::new();
    let id = world.started(&world.codebase(files), &all());
    has(&world, &id, program, name).then_some((world, id))
}

/// Whether a program is there inside.
fn has(world: &World, id: &str, program: &str, name: &str) -> bool {
    let found = world.sh(id, &format!("command -v {program}")).exit_code == 0;
    if !found {
        println!("SKIP: {name}: no {program}");
    }
    found
}

#[test]
fn w25_git_commits_clones_and_has_worktrees() {
    let files = [("a.txt", "a\n"), ("dir/b.txt", "b\n")];
    let Some((world, id)) = with("git", "w25_git_commits_clones_and_has_worktrees", &files) else { return };
    world.says(&id, "git config --global user.email a@b; git config --global user.name a; git config --global init.defaultBranch main");
    world.says(&id, "git init -q . && git add . && git commit -qm one && echo more >> a.txt && git commit -qam two");
    assert_eq!(world.says(&id, "git log --format=%s; git status --short; git fsck 2>/dev/null"), "two\none\n");
    world.says(&id, "git clone -q . /workspace/clone && git worktree add -q ../workspace/tree HEAD~1 2>/dev/null && git branch other && git checkout -q other && git rebase -q main && git gc -q");
    assert_eq!(world.says(&id, "cat clone/a.txt tree/a.txt; git -C clone log --oneline | wc -l"), "a\nmore\na\n2\n");
    assert!(world.agent_diff(&id).iter().any(|path| path == ".git/HEAD"));
}

#[test]
fn w25_archives_databases_and_odd_files() {
    let name = "w25_archives_databases_and_odd_files";
    let world = World::new();
    let codebase = world.codebase(&[("f", "f"), ("d/g", "g"), ("d/h", "h")]);
    let id = world.started(&codebase, &all());
    let script = "set -e; mkfifo p; rm p; ln f hard; cmp f hard; tar cf t.tar f d; mkdir x; tar xf t.tar -C x; cp -a d d2; diff -r d x/d; chmod 700 d2
        touch -d 2001-01-01 f; sync f; mv d moved; ls moved; rm -rf moved; mkdir moved; ls -A moved; stat -c %i f > i1; stat -c %i f | cmp - i1; rm i1
        cp -a d2 d3; rm -rf d2 d3 x t.tar hard moved; ls";
    assert_eq!(world.says(&id, script), "g\nh\nf\n");
    if has(&world, &id, "python3", name) {
        let script = "python3 -c \"
import sqlite3, mmap, os
c = sqlite3.connect('db'); print(c.execute('pragma journal_mode=wal').fetchone()[0]); c.execute('create table t(a)')
c.executemany('insert into t values (?)', [(n,) for n in range(1000)]); c.commit(); print(c.execute('select sum(a) from t').fetchone()[0]); c.close()
f = open('f', 'r+b'); m = mmap.mmap(f.fileno(), 1); m[0:1] = b'F'; m.flush(); os.fsync(f.fileno())
\"; cat f";
        assert_eq!(world.says(&id, script), "wal\n499500\nF");
        let made = world.sh(&id, "python3 -m venv --without-pip v && v/bin/python -c 'import sys; print(sys.prefix)'");
        assert_eq!(String::from_utf8_lossy(&made.stdout), "/workspace/v\n", "{made:?}");
    }
}

#[test]
fn w25_make_builds_in_parallel() {
    let name = "w25_make_builds_in_parallel";
    let world = World::new();
    let source = "int main(void) { return 7; }\n";
    let makefile = "all: one two three\n%: %.c\n\tcc -o $@ $<\n";
    let codebase = world.codebase(&[("Makefile", makefile), ("one.c", source), ("two.c", source), ("three.c", source)]);
    let id = world.started(&codebase, &all());
    if !has(&world, &id, "make", name) || !has(&world, &id, "cc", name) {
        return;
    }
    world.says(&id, "make -s -j 3");
    assert_eq!(world.sh(&id, "./one; ./two; ./three").exit_code, 7);
}

/// Makes a wheel without any tool but Python, as there is no network to get one from.
const WHEEL: &str = "python3 -c \"
import zipfile
with zipfile.ZipFile('told-1-py3-none-any.whl', 'w') as wheel:
    wheel.writestr('told.py', 'def main(): print(41 + 1)')
    wheel.writestr('told-1.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: told\\nVersion: 1\\n')
    wheel.writestr('told-1.dist-info/WHEEL', 'Wheel-Version: 1.0\\nGenerator: by hand\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr('told-1.dist-info/entry_points.txt', '[console_scripts]\\ntold = told:main\\n')
    wheel.writestr('told-1.dist-info/RECORD', '')
\"";

#[test]
fn w25_pip_installs_into_a_virtual_environment() {
    let name = "w25_pip_installs_into_a_virtual_environment";
    let Some((world, id)) = with("python3", name, &[("f", "f")]) else { return };
    if world.sh(&id, "python3 -m ensurepip --version").exit_code != 0 {
        println!("SKIP: {name}: no ensurepip");
        return;
    }
    world.says(&id, WHEEL);
    let made = world.sh(&id, "python3 -m venv v && v/bin/pip install -q --no-index --disable-pip-version-check ./told-1-py3-none-any.whl");
    assert_eq!(made.exit_code, 0, "{made:?}");
    assert_eq!(world.says(&id, "v/bin/told; v/bin/pip uninstall -qy told 2>&1; ls v/bin | grep -c '^told$'; :"), "42\n0\n");
}

#[test]
fn w25_npm_installs_and_runs_scripts() {
    let package = r#"{"name": "app", "version": "1.0.0", "scripts": {"start": "node index.js"}, "dependencies": {"told": "file:told"}}"#;
    let told = r#"{"name": "told", "version": "1.0.0", "bin": {"told": "bin.js"}}"#;
    let files = [
        ("package.json", package),
        ("index.js", "console.log(require('told'))\n"),
        ("told/package.json", told),
        ("told/index.js", "module.exports = 42\n"),
        ("told/bin.js", "#!/usr/bin/env node\nconsole.log(43)\n"),
    ];
    let Some((world, id)) = with("npm", "w25_npm_installs_and_runs_scripts", &files) else { return };
    let made = world.sh(&id, "npm install --offline --no-audit --no-fund --loglevel=error >log && npm start --silent && npx --offline told && npm ls --parseable | wc -l");
    assert_eq!((String::from_utf8_lossy(&made.stdout).as_ref(), made.exit_code), ("42\n43\n2\n", 0), "{made:?}");
}

#[test]
fn w25_cargo_builds_tests_and_cleans() {
    let files = [
        ("Cargo.toml", "[package]\nname = \"told\"\nversion = \"1.0.0\"\nedition = \"2021\"\n"),
        ("src/main.rs", "fn main() { println!(\"{}\", 41 + 1); }\n#[test]\nfn sum() { assert_eq!(41 + 1, 42); }\n"),
    ];
    let Some((world, id)) = with("cargo", "w25_cargo_builds_tests_and_cleans", &files) else { return };
    let made =
        world.sh(&id, "cargo build -q --offline && cargo run -q --offline && cargo test -q --offline >/dev/null && cargo clean -q && ls");
    assert_eq!((String::from_utf8_lossy(&made.stdout).as_ref(), made.exit_code), ("42\nCargo.lock\nCargo.toml\nsrc\n", 0), "{made:?}");
}

#[test]
fn w25_rsync_copies_updates_and_deletes() {
    let files = [("from/a", "a\n"), ("from/d/b", "b\n")];
    let Some((world, id)) = with("rsync", "w25_rsync_copies_updates_and_deletes", &files) else { return };
    // Linked is a file that was made here: of one that came from below, the kernel's overlay tells two numbers.
    let script = "set -e; ln -s a from/link; echo n > from/n; ln from/n from/hard; chmod 750 from/d; rsync -aH from/ to; diff -r from to
        stat -c '%a %h' to/d to/n; echo more >> from/n; rm from/d/b; rsync -aH --delete --checksum from/ to; cat to/hard; ls to/d; readlink to/link
        rsync -ain --delete from/ to";
    assert_eq!(world.says(&id, script), "750 2\n644 2\nn\nmore\na\n");
}

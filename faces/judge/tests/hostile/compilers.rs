//! Sources that attack while they are compiled. Dossier rows 41, 43, 44.

use std::time::Duration;

use enclos_judge::api::Verdict;

use crate::case::{Canary, Case, Ended};

/// A compiler that must not succeed, within little.
fn refused(language: &str, source: &str) -> Ended {
    let case = Case::new(language, source);
    let case = case.compile(|l| (l.cpu, l.memory, l.file_size) = (Some(Duration::from_secs(4)), Some(512 << 20), Some(32 << 20)));
    let ended = case.run().is(Verdict::CompileError);
    assert!(ended.answer.tests.is_empty());
    ended
}

fn compile_verdict(ended: &Ended) -> Verdict {
    ended.answer.compile.as_ref().unwrap().verdict
}

#[test]
fn includes_that_never_end() {
    for path in ["/dev/random", "/dev/zero", "/dev/urandom"] {
        let ended = refused("c", &format!("#include \"{path}\"\nint main(void) {{ return 0; }}\n"));
        let fine = [Verdict::TimedOut, Verdict::OutOfMemory, Verdict::OutputLimit, Verdict::RuntimeError];
        assert!(fine.contains(&compile_verdict(&ended)), "{path}: {}", ended.described());
    }
}

#[test]
fn includes_of_streams_and_of_memory() {
    // Nothing is mapped at its start; standard input has ended. Both are empty files, if anything.
    for path in ["/proc/self/mem", "/dev/stdin"] {
        let ended = Case::new("c", &format!("#include \"{path}\"\nint main(void) {{ return 0; }}\n")).run();
        ended.ends_as(&[Verdict::Ok, Verdict::CompileError]);
    }
}

#[test]
fn templates_that_never_end() {
    let ended = refused(
        "c++",
        "template <int N, int M> struct T { static const int v = T<N - 1, M>::v + T<N - 1, M + N>::v; };\ntemplate <int M> struct T<0, M> { static const int v = 1; };\nint main() { return T<800, 1>::v; }\n",
    );
    let fine = [Verdict::TimedOut, Verdict::OutOfMemory, Verdict::OutputLimit];
    assert!(fine.contains(&compile_verdict(&ended)), "{}", ended.described());
}

#[test]
fn a_constant_expression_that_never_ends() {
    let source = "constexpr unsigned long f(unsigned long n) { unsigned long s = 0; for (unsigned long i = 0; i < n; i++) s += i * i; return s; }\nconstexpr unsigned long a[] = {f(200000), f(200001), f(200002), f(200003), f(200004), f(200005), f(200006), f(200007)};\nstatic_assert(f(260000) + a[0] > 0);\ntemplate <int N> struct C { static constexpr unsigned long v = f(250000 + N) + C<N - 1>::v; };\ntemplate <> struct C<0> { static constexpr unsigned long v = 0; };\nint main() { return C<800>::v; }\n";
    let ended = refused("c++", source);
    assert!([Verdict::TimedOut, Verdict::OutOfMemory].contains(&compile_verdict(&ended)), "{}", ended.described());
}

#[test]
fn a_program_of_a_gigabyte() {
    refused("c", "char a[1 << 30] = {1};\nint main(void) { return a[5]; }\n");
}

#[test]
fn macros_that_explode() {
    let mut source = "#define A0 x x x x x x x x x x\n".to_owned();
    for level in 1..12 {
        let before = format!("A{} ", level - 1).repeat(10);
        source.push_str(&format!("#define A{level} {before}\n"));
    }
    source.push_str("int main(void) { A11 }\n");
    refused("c", &source);
}

#[test]
fn diagnostics_without_end() {
    let source = format!("int main(void) {{ {} }}\n", "x;".repeat(200_000));
    let ended = refused("c", &source);
    assert!(ended.answer.compile.as_ref().unwrap().stderr.len() <= 1 << 20);
}

#[test]
fn files_of_the_host_taken_in_while_compiling() {
    let canary = Canary::new();
    let path = canary.path();
    let sources = [
        ("c", format!("__asm__(\".incbin \\\"{path}\\\"\");\nint main(void) {{ return 0; }}\n")),
        ("c", format!("#include \"{path}\"\nint main(void) {{ return 0; }}\n")),
        ("rust", format!("fn main() {{ print!(\"{{}}\", include_str!(\"{path}\")); }}\n")),
        (
            "haskell",
            format!(
                "{{-# LANGUAGE TemplateHaskell #-}}\nimport Language.Haskell.TH\nmain = putStr $(stringE =<< runIO (readFile \"{path}\"))\n"
            ),
        ),
        ("haskell", format!("{{-# LANGUAGE CPP #-}}\n#include \"{path}\"\nmain = return ()\n")),
        ("pascal", format!("begin\n{{$I {path}}}\nend.\n")),
        ("go", format!("package main\n// #include \"{path}\"\nimport \"C\"\nfunc main() {{ C.free(nil) }}\n")),
        ("d", format!("import std.stdio;\nvoid main() {{ write(import(\"{path}\")); }}\n")),
        ("go", "package main\nimport _ \"embed\"\n//go:embed ../../etc/shadow\nvar s string\nfunc main() { print(s) }\n".to_owned()),
    ];
    for (language, source) in sources {
        if judge_lacks(language) {
            enclos_testkit::skip("files_of_the_host_taken_in_while_compiling", language);
            continue;
        }
        let ended = Case::new(language, &source).run();
        assert_eq!(ended.answer.verdict, Verdict::CompileError, "{language}: {}", ended.described());
        assert!(!ended.described().contains("the host's own secret"), "{language}");
    }
    canary.intact();
}

fn judge_lacks(language: &str) -> bool {
    use enclos_judge::api::Judge;
    !crate::case::judge().languages().iter().any(|known| known.key == language && known.available)
}

#[test]
fn what_runs_while_compiling_is_confined_as_what_runs_after() {
    let canary = Canary::new();
    // The script is the compiler here: everything it tries must fail.
    let script = format!(
        "cat {0} /etc/shadow /root/* 2>/dev/null && echo READ\n(echo x > {0}) 2>/dev/null && echo WROTE\nunshare -U true 2>/dev/null && echo NAMESPACE\nls /proc | grep -c '^[0-9]' >&2\nset -m; (while :; do :; done) & disown 2>/dev/null; exit 1\n",
        canary.path()
    );
    let ended = Case::new("script", &script).run().is(Verdict::CompileError);
    assert_eq!(ended.answer.compile.as_ref().unwrap().stdout, b"", "{}", ended.described());
    canary.intact();
}

#[test]
fn options_of_a_job_reach_the_compiler_as_they_are() {
    let mut case = Case::new("script", "printf '%s|' \"$@\"; exit 1");
    case.job.compile.arguments = ["$(touch /tmp/x)", "; ls", "`id`", "-x \" ' *", "{output}"].map(str::to_owned).to_vec();
    let ended = case.run().is(Verdict::CompileError);
    assert_eq!(ended.answer.compile.as_ref().unwrap().stdout, b"$(touch /tmp/x)|; ls|`id`|-x \" ' *|{output}|");
}

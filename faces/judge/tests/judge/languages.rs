//! Every language that this host has.

use enclos_judge::api::{Cancel, Judge, NoObserver, Verdict};

use crate::support::{first, job, judge, run};

#[test]
fn every_language_that_is_installed_runs_its_reference_program() {
    let mut failed = Vec::new();
    for language in judge().languages() {
        if !language.available {
            let missing: Vec<&str> =
                language.programs.iter().filter(|program| !program.found).map(|program| &program.command[..]).collect();
            enclos_testkit::skip("every_language", &format!("{}: {} not installed", language.name, missing.join(", ")));
            continue;
        }
        for program in &language.programs {
            // beef has no option that tells it.
            if program.version.is_none() && program.command != "beef" {
                failed.push(format!("{}: {} tells no version: {:?}", language.name, program.command, program.version_text));
            }
        }
        let job = judge().reference(&language.key).unwrap();
        let answer = judge().run(&job, &Cancel::new(), &NoObserver).unwrap();
        if answer.verdict != Verdict::Ok {
            failed.push(format!("{}: {answer:?}", language.name));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn java(source: &str) -> (Verdict, Option<i32>, String) {
    let answer = run(&job("java", source));
    let said = answer.compile.as_ref().map(|compile| String::from_utf8_lossy(&compile.stderr).into_owned());
    assert!(!answer.tests.is_empty(), "{said:?}");
    first(&answer)
}

fn has_java() -> bool {
    judge().languages().iter().any(|language| language.key == "java" && language.available)
}

#[test]
fn the_class_to_run_is_found_wherever_it_is() {
    if !has_java() {
        enclos_testkit::skip("the_class_to_run", "no JDK");
        return;
    }
    let ok = |text: &str| (Verdict::Ok, Some(0), format!("{text}\n"));
    let nested = "class Foo { static void main(String x) {}\n static class SubFoo { static class SubSubFoo { public static void main(String[] a) { System.out.println(1); } } } }";
    assert_eq!(java(nested), ok("1"));
    let names = "class MyπClass { static class Subclassé { public static void main(String[] a) { System.out.println(\"é\"); } } }";
    assert_eq!(java(names), ok("é"));
    let public = "class A { public static void main(String[] a) { System.out.println(\"private\"); } }\npublic class Zed { public static void main(String[] a) { System.out.println(\"public\"); } }";
    assert_eq!(java(public), ok("public"));
    let second = "class A {}\nclass B { public static void main(String[] a) { System.out.println(2); } }\nclass C {}";
    assert_eq!(java(second), ok("2"));
    let none = run(&job("java", "class A { static void main(String[] a) {} }"));
    assert_eq!(none.verdict, Verdict::CompileError);
}

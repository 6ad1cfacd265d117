//! The request of `/run`: from camisole's words to a [`Job`].

use std::time::Duration;

use super::check::{Checked, Fields, Malformed};
use super::value::Value;
use crate::api::{Job, LimitSettings, Limits, SourceFile, StepOptions, Test};

/// camisole counts in kB of 1024 bytes, as isolate does.
const KB: u64 = 1024;

/// What a request may ask for.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Tests in one request.
    pub tests: usize,
    /// Limits of a judge: what holds where a request says nothing, and the greatest it may ask for.
    pub limits: LimitSettings,
    /// Whether more than `most` is refused; else it is as if `most` had been asked for.
    pub refuse_beyond: bool,
}

impl Bounds {
    /// A judge's.
    #[must_use]
    pub fn of(limits: &LimitSettings, tests: usize, refuse_beyond: bool) -> Self {
        Bounds { tests, limits: limits.clone(), refuse_beyond }
    }

    /// Limits of the request, and those it does not name but which would otherwise end a program before the named ones do. camisole had no
    /// defaults: whoever gave a program 30 s of wall clock expects that it may compute for 30 s.
    fn widen(&self, limits: Limits, base: &Limits) -> Limits {
        let larger = |own: Option<u64>, default: Option<u64>| own.zip(default).filter(|(own, default)| own > default).map(|(own, _)| own);
        let longer =
            |own: Option<Duration>, default: Option<Duration>| own.zip(default).filter(|(own, default)| own > default).map(|(own, _)| own);
        let cpu = limits.cpu.max(limits.extra_cpu);
        let implied = Limits {
            // As much wall clock as a program needs that shares its cores.
            wall: longer(cpu.map(|cpu| cpu.saturating_mul(3)), base.wall),
            cpu: longer(limits.wall, base.cpu),
            memory: larger(limits.address_space, base.memory),
            disk: larger(limits.file_size.map(|size| size.saturating_mul(2)), base.disk),
            output: larger(limits.file_size, base.output),
            ..Limits::default()
        };
        let mut limits = limits.over(&implied).capped(&self.limits.most);
        // Of a quota that is less than the program itself may need, what is held is that no file exceeds it.
        if let Some(disk) = limits.disk.filter(|disk| Some(*disk) < LEAST.disk) {
            limits.file_size = Some(limits.file_size.map_or(disk, |size| size.min(disk)));
        }
        macro_rules! raise {
            ($($field:ident),+) => { $(limits.$field = limits.$field.map(|own| LEAST.$field.map_or(own, |least| own.max(least)));)+ };
        }
        raise!(cpu, wall, memory, disk, inodes);
        limits
    }
}

/// A request that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What to do.
    pub job: Job,
    /// Whether the source is empty: an interpreted language has nothing to run then, and camisole answers no tests.
    pub is_empty: bool,
}

/// Which options a mapping sets; a test's own lie over those of `execute`, also where they are `null`.
#[derive(Clone, Debug, Default)]
struct Options {
    limits: Limits,
    stdin: Option<Vec<u8>>,
    names: Vec<&'static str>,
}

/// Keys of an options mapping, and where their values go.
const OPTIONS: [&str; 10] = ["time", "wall-time", "extra-time", "mem", "virt-mem", "stack", "fsize", "processes", "quota", "stdin"];

impl Request {
    /// Checks a request, and makes it a job.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn read(value: &Value, bounds: &Bounds) -> Checked<Request> {
        let fields = Fields::of(value, "")?;
        let language = fields.required_text("lang")?.to_owned();
        let source = fields.required_bytes("source")?.to_owned();
        let stop_at_first_failure = fields.flag("all_fatal")?;
        let compile = fields.mapping("compile", |fields| Options::read(fields, bounds))?.unwrap_or_default();
        let mut execute = fields.mapping("execute", |fields| Options::read(fields, bounds))?.unwrap_or_default();
        if language.eq_ignore_ascii_case("java") {
            // A JVM maps far more than it uses; camisole dropped this one for it, from `execute` alone.
            execute.limits.address_space = None;
        }
        let mut tests = match fields.list("tests")? {
            None => vec![execute.test(None, false)],
            Some(items) if items.len() > bounds.tests => {
                return Err(Malformed::new(".tests", format!("expected at most {} tests, got {}", bounds.tests, items.len())));
            }
            Some(items) => {
                let read = |(index, item)| read_test(item, &format!(".tests[{index}]"), &execute, bounds);
                items.iter().enumerate().map(read).collect::<Checked<_>>()?
            }
        };
        for test in &mut tests {
            test.limits = bounds.widen(std::mem::take(&mut test.limits), &bounds.limits.run);
        }
        let compile = bounds.widen(compile.limits, &bounds.limits.compile);
        let is_empty = source.is_empty();
        let job = Job {
            language,
            sources: vec![SourceFile { name: None, contents: source }],
            compile: StepOptions { limits: compile, ..StepOptions::default() },
            tests,
            stop_at_first_failure,
            ..Job::default()
        };
        Ok(Request { job, is_empty })
    }
}

fn read_test(item: &Value, path: &str, execute: &Options, bounds: &Bounds) -> Checked<Test> {
    let fields = Fields::of(item, path)?;
    let name = fields.text("name")?.map(str::to_owned);
    let fatal = fields.flag("fatal")?;
    Ok(Options::read(fields, bounds)?.over(execute).test(name, fatal))
}

impl Options {
    fn read(fields: Fields<'_>, bounds: &Bounds) -> Checked<Options> {
        // 0 is no limit to isolate; here it is the limit that holds without the key.
        let size = |name| fields.count(name).map(|size| size.filter(|size| *size > 0));
        let time = |name| fields.number(name).map(|seconds| seconds.filter(|seconds| *seconds > 0.0).map(span));
        let kilobytes = |name| size(name).map(|size| size.map(|size| size.saturating_mul(KB)));
        let mut limits = Limits {
            cpu: time("time")?,
            wall: time("wall-time")?,
            extra_cpu: time("extra-time")?,
            memory: kilobytes("mem")?,
            address_space: kilobytes("virt-mem")?,
            stack: kilobytes("stack")?,
            file_size: kilobytes("fsize")?,
            processes: size("processes")?,
            ..Limits::default()
        };
        quota(fields, &mut limits)?;
        if bounds.refuse_beyond {
            refuse_beyond(&limits, bounds, fields)?;
        }
        let stdin = fields.bytes("stdin")?.map(<[u8]>::to_owned);
        Ok(Options { limits, stdin, names: OPTIONS.into_iter().filter(|name| fields.has(name)).collect() })
    }

    /// These, and what they do not name from `base`.
    fn over(self, base: &Options) -> Options {
        let has = |name| self.names.contains(&name);
        macro_rules! pick {
            ($field:ident, $name:literal) => {
                if has($name) { self.limits.$field.clone() } else { base.limits.$field.clone() }
            };
        }
        let limits = Limits {
            cpu: pick!(cpu, "time"),
            wall: pick!(wall, "wall-time"),
            extra_cpu: pick!(extra_cpu, "extra-time"),
            memory: pick!(memory, "mem"),
            address_space: pick!(address_space, "virt-mem"),
            stack: pick!(stack, "stack"),
            file_size: pick!(file_size, "fsize"),
            processes: pick!(processes, "processes"),
            disk: pick!(disk, "quota"),
            inodes: pick!(inodes, "quota"),
            ..Limits::default()
        };
        let stdin = if has("stdin") { self.stdin } else { base.stdin.clone() };
        Options { limits, stdin, names: self.names }
    }

    fn test(&self, name: Option<String>, fatal: bool) -> Test {
        // No input is an input that ends at once.
        Test { name, fatal, stdin: self.stdin.clone().unwrap_or_default(), limits: self.limits.clone(), ..Test::default() }
    }
}

/// Seconds, whatever their number: what exceeds the clock is for ever.
fn span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// The least that makes sense to a judge; less is as good as this, since no program can run with either.
const LEAST: Limits = Limits {
    cpu: Some(Duration::from_millis(1)),
    extra_cpu: None,
    wall: Some(Duration::from_millis(1)),
    idle: None,
    memory: Some(1 << 20),
    address_space: None,
    stack: None,
    file_size: None,
    processes: None,
    disk: Some(1 << 20),
    inodes: Some(16),
    output: None,
    open_files: None,
};

/// `"BLOCKS,INODES"`, blocks of 1024 bytes.
fn quota(fields: Fields<'_>, limits: &mut Limits) -> Checked<()> {
    let Some(text) = fields.text("quota")? else { return Ok(()) };
    let pair = text.split_once(',').and_then(|(blocks, inodes)| Some((blocks.parse::<u64>().ok()?, inodes.parse::<u64>().ok()?)));
    let wrong = || Malformed::new(fields.path("quota"), format!("expected \"BLOCKS,INODES\", got {text:?}"));
    let (blocks, inodes) = pair.ok_or_else(wrong)?;
    let nonzero = |number: u64| Some(number).filter(|number| *number > 0);
    (limits.disk, limits.inodes) = (nonzero(blocks.saturating_mul(KB)), nonzero(inodes));
    Ok(())
}

fn refuse_beyond(limits: &Limits, bounds: &Bounds, fields: Fields<'_>) -> Checked<()> {
    let most = &bounds.limits.most;
    let seconds = |span: Option<Duration>| span.map_or(0.0, |span| span.as_secs_f64());
    let kilobytes = |bytes: Option<u64>| (bytes.unwrap_or(0) / KB) as f64;
    let plain = |count: Option<u64>| count.unwrap_or(0) as f64;
    let Some(beyond) = limits.beyond(most).into_iter().next() else { return Ok(()) };
    let (name, most) = match beyond {
        "cpu" => ("time", seconds(most.cpu)),
        "wall" => ("wall-time", seconds(most.wall)),
        "extra_cpu" => ("extra-time", seconds(most.extra_cpu)),
        "memory" => ("mem", kilobytes(most.memory)),
        "address_space" => ("virt-mem", kilobytes(most.address_space)),
        "stack" => ("stack", kilobytes(most.stack)),
        "file_size" => ("fsize", kilobytes(most.file_size)),
        "processes" => ("processes", plain(most.processes)),
        "inodes" => ("quota", plain(most.inodes)),
        _ => ("quota", kilobytes(most.disk)),
    };
    Err(Malformed::new(fields.path(name), format!("expected at most {most}, which is the greatest this judge allows")))
}

/// The body of `/test`: languages to leave out, in lower case.
///
/// # Errors
/// The first field that is wrong.
pub fn excluded(value: &Value) -> Checked<Vec<String>> {
    let items = Fields::of(value, "")?.list("exclude")?.unwrap_or_default().iter().enumerate();
    items
        .map(|(index, item)| match item {
            Value::Text(name) => Ok(name.to_lowercase()),
            other => Err(Malformed::new(format!(".exclude[{index}]"), format!("expected a string, got {}", other.type_name()))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::format::Format;
    use super::*;

    fn bounds() -> Bounds {
        Bounds::of(&LimitSettings::default(), 3, false)
    }

    fn read(json: &str) -> Checked<Request> {
        Request::read(&Format::Json.decode(json.as_bytes()).unwrap(), &bounds())
    }

    fn told(json: &str) -> String {
        read(json).unwrap_err().to_string()
    }

    fn with(field: &str) -> String {
        format!("{{\"lang\": \"c\", \"source\": \"\", {field}}}")
    }

    #[test]
    fn camisole_messages_are_kept() {
        for (json, wanted) in [
            ("{}", ".lang: expected a string, got nothing"),
            ("{\"lang\": null}", ".lang: expected a string, got nothing"),
            ("{\"lang\": 1}", ".lang: expected a string, got an integer"),
            ("{\"lang\": \"c\"}", ".source: expected a string or binary data, got nothing"),
            ("{\"lang\": \"c\", \"source\": 42}", ".source: expected a string or binary data, got an integer"),
            ("[]", ": expected a mapping, got a list"),
            ("1.5", ": expected a mapping, got a float"),
            ("null", ": expected a mapping, got nothing"),
            (&with("\"all_fatal\": 1"), ".all_fatal: expected a bool, got an integer"),
            (&with("\"compile\": []"), ".compile: expected a mapping, got a list"),
            (&with("\"execute\": {\"time\": \"1\"}"), ".execute.time: expected a float or an integer, got a string"),
            (&with("\"execute\": {\"extra-time\": \"abc\"}"), ".execute.extra-time: expected a float or an integer, got a string"),
            (&with("\"execute\": {\"mem\": 1.5}"), ".execute.mem: expected an integer, got a float"),
            (&with("\"execute\": {\"mem\": true}"), ".execute.mem: expected an integer, got a bool"),
            (&with("\"tests\": {\"a\": 1}"), ".tests: expected a list, got a mapping"),
            (&with("\"tests\": [1]"), ".tests[0]: expected a mapping, got an integer"),
            (&with("\"tests\": [{}, {\"stdin\": []}]"), ".tests[1].stdin: expected a string or binary data, got a list"),
            (&with("\"tests\": [{\"name\": {}}]"), ".tests[0].name: expected a string, got a mapping"),
            (&with("\"tests\": [{\"fatal\": \"yes\"}]"), ".tests[0].fatal: expected a bool, got a string"),
        ] {
            assert_eq!(told(json), format!("malformed payload: {wanted}"), "{json}");
        }
    }

    #[test]
    fn what_was_an_error_of_the_server_is_one_of_the_request() {
        for (field, wanted) in [
            ("\"execute\": {\"mem\": -1}", ".execute.mem: expected an integer of 0 or more, got -1"),
            ("\"execute\": {\"time\": -0.5}", ".execute.time: expected a number of 0 or more, got -0.5"),
            ("\"execute\": {\"quota\": \"1\"}", ".execute.quota: expected \"BLOCKS,INODES\", got \"1\""),
            ("\"tests\": [{\"quota\": \"a,b\"}]", ".tests[0].quota: expected \"BLOCKS,INODES\", got \"a,b\""),
            ("\"tests\": [{}, {}, {}, {}]", ".tests: expected at most 3 tests, got 4"),
        ] {
            assert_eq!(told(&with(field)), format!("malformed payload: {wanted}"), "{field}");
        }
        // These were 500s.
        for field in ["\"tests\": null", "\"compile\": null", "\"execute\": null", "\"execute\": {\"time\": null}"] {
            assert_eq!(read(&with(field)).unwrap().job.tests.len(), 1, "{field}");
        }
    }

    #[test]
    fn options_become_limits() {
        let request = read(&with(
            r#""execute": {"time": 1, "wall-time": 2.5, "extra-time": 0.5, "mem": 100000, "virt-mem": 50000, "stack": 8192, "fsize": 10,
                "processes": 5, "quota": "10000,20", "stdin": "x"}, "compile": {"time": 7}"#,
        ))
        .unwrap();
        let limits = Limits {
            cpu: Some(Duration::from_secs(1)),
            wall: Some(Duration::from_millis(2500)),
            extra_cpu: Some(Duration::from_millis(500)),
            memory: Some(100_000 << 10),
            address_space: Some(50_000 << 10),
            stack: Some(8 << 20),
            file_size: Some(10 << 10),
            processes: Some(5),
            disk: Some(10_000 << 10),
            inodes: Some(20),
            ..Limits::default()
        };
        assert_eq!(request.job.tests, [Test { stdin: b"x".to_vec(), limits, ..Test::default() }]);
        assert_eq!(request.job.compile.limits, Limits { cpu: Some(Duration::from_secs(7)), ..Limits::default() });
    }

    #[test]
    fn zero_is_no_limit_of_the_request() {
        let zeros = r#""execute": {"time": 0, "wall-time": 0.0, "mem": 0, "fsize": 0, "processes": 0, "quota": "0,0"}"#;
        assert_eq!(read(&with(zeros)).unwrap().job.tests[0].limits, Limits::default());
    }

    #[test]
    fn a_test_lies_over_execute_key_by_key() {
        let request = read(&with(
            r#""execute": {"time": 1, "mem": 5000, "stdin": "all"},
               "tests": [{"name": "own", "time": 2, "fatal": true}, {"stdin": ""}, {"time": null, "stdin": null}]"#,
        ))
        .unwrap();
        let [own, empty, null] = &request.job.tests[..] else { panic!("three tests") };
        assert_eq!((own.name.as_deref(), own.fatal, &own.stdin[..]), (Some("own"), true, &b"all"[..]));
        assert_eq!((own.limits.cpu, own.limits.memory), (Some(Duration::from_secs(2)), Some(5000 << 10)));
        assert_eq!((&empty.stdin[..], empty.limits.cpu, empty.fatal), (&b""[..], Some(Duration::from_secs(1)), false));
        assert_eq!((&null.stdin[..], null.limits.cpu, null.limits.memory), (&b""[..], None, Some(5000 << 10)));
    }

    #[test]
    fn java_has_no_address_space_of_execute() {
        let request = read(r#"{"lang": "Java", "source": "x", "execute": {"virt-mem": 5}, "tests": [{}, {"virt-mem": 6}]}"#).unwrap();
        let spaces: Vec<_> = request.job.tests.iter().map(|test| test.limits.address_space).collect();
        assert_eq!(spaces, [None, Some(6 << 10)]);
    }

    #[test]
    fn a_limit_that_is_named_is_not_cut_short_by_a_default() {
        let limits = |field: &str| read(&with(field)).unwrap().job.tests.remove(0).limits;
        let second = Duration::from_secs;
        let cpu = limits("\"execute\": {\"time\": 10}");
        assert_eq!((cpu.cpu, cpu.wall), (Some(second(10)), Some(second(30))));
        let wall = limits("\"execute\": {\"wall-time\": 30}");
        assert_eq!((wall.cpu, wall.wall), (Some(second(30)), Some(second(30))));
        let both = limits("\"execute\": {\"time\": 50, \"wall-time\": 20}");
        assert_eq!((both.cpu, both.wall), (Some(second(50)), Some(second(20))));
        let small = limits("\"execute\": {\"time\": 1, \"fsize\": 10, \"virt-mem\": 10}");
        assert_eq!((small.wall, small.disk, small.output, small.memory), (None, None, None, None));
        let large = limits("\"execute\": {\"fsize\": 100000, \"virt-mem\": 1000000}");
        assert_eq!((large.output, large.memory), (bounds().limits.most.output, Some(1_000_000 << 10)));
    }

    #[test]
    fn what_is_too_little_for_anything_is_the_least_there_is() {
        let limits = read(&with("\"execute\": {\"quota\": \"1,1\", \"mem\": 1, \"time\": 1e-12}")).unwrap().job.tests.remove(0).limits;
        assert_eq!((limits.disk, limits.inodes, limits.file_size), (Some(1 << 20), Some(16), Some(1024)));
        assert_eq!((limits.memory, limits.cpu), (Some(1 << 20), Some(Duration::from_millis(1))));
        let limits = read(&with("\"execute\": {\"quota\": \"100,20\", \"fsize\": 7}")).unwrap().job.tests.remove(0).limits;
        assert_eq!((limits.disk, limits.file_size), (Some(1 << 20), Some(7 << 10)));
    }

    #[test]
    fn no_tests_are_no_tests() {
        for field in ["\"tests\": []", "\"tests\": {}", "\"tests\": \"\""] {
            assert_eq!(read(&with(field)).unwrap().job.tests, [], "{field}");
        }
    }

    #[test]
    fn what_exceeds_the_most_is_capped_or_refused() {
        let json = with("\"tests\": [{\"wall-time\": 1e300, \"mem\": 99999999999999999999999}]");
        let limits = read(&with("\"tests\": [{\"wall-time\": 1e300, \"mem\": 18446744073709551615}]")).unwrap().job.tests.remove(0).limits;
        assert_eq!((limits.wall, limits.memory), (bounds().limits.most.wall, bounds().limits.most.memory));
        // More digits than a machine has are a float to every reader of JSON but Python's.
        assert_eq!(told(&json), "malformed payload: .tests[0].mem: expected an integer, got a float");
        let value = Format::Json.decode(with("\"execute\": {\"wall-time\": 121}").as_bytes()).unwrap();
        let refused = Request::read(&value, &Bounds { refuse_beyond: true, ..bounds() }).unwrap_err();
        let wanted = "malformed payload: .execute.wall-time: expected at most 120, which is the greatest this judge allows";
        assert_eq!(refused.to_string(), wanted);
    }

    #[test]
    fn languages_to_leave_out_are_texts() {
        let read = |json: &str| excluded(&Format::Json.decode(json.as_bytes()).unwrap()).map_err(|error| error.to_string());
        assert_eq!(read("{}").unwrap(), Vec::<String>::new());
        assert_eq!(read("{\"exclude\": [\"C++\"]}").unwrap(), ["c++"]);
        assert_eq!(read("{\"exclude\": [1]}").unwrap_err(), "malformed payload: .exclude[0]: expected a string, got an integer");
        assert_eq!(read("{\"exclude\": 1}").unwrap_err(), "malformed payload: .exclude: expected a list, got an integer");
    }

    proptest! {
        /// Whatever a field holds, a request is understood or refused in one line.
        #[test]
        fn no_value_crashes_the_check(
            name in proptest::sample::select(OPTIONS.to_vec()),
            value in prop_oneof!["null|true|-?[0-9]{1,25}|-?[0-9]{1,5}e[0-9]{1,2}", "\"[a-z0-9,]{0,6}\"", Just("[]".to_owned()), Just("{}".to_owned())],
        ) {
            for field in [format!("\"execute\": {{\"{name}\": {value}}}"), format!("\"tests\": [{{\"{name}\": {value}}}]")] {
                if let Ok(value) = Format::Json.decode(with(&field).as_bytes())
                    && let Err(error) = Request::read(&value, &bounds())
                {
                    let text = error.to_string();
                    prop_assert!(text.starts_with("malformed payload: .") && !text.contains('\n'), "{}", text);
                }
            }
        }
    }
}

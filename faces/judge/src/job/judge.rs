//! The judge of this machine.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use enclos_host::tracing;
use enclos_sandbox::Launcher;

use super::board::Board;
use super::test::{Helper, Tests, skipped};
use super::turns::Turns;
use super::{score, seats, validate};
use crate::api::{
    Answer, Cancel, Checker, Job, JobError, Judge, LanguageStatus, LimitSettings, NoObserver, Observer, ProgramStatus, SourceFile, Step,
    StepOptions, StepReport, SystemInfo, Test, Verdict,
};
use crate::cache::{Cache, CacheFigures};
use crate::compile::{Made, Source, make};
use crate::language::{Definition, Registry};
use crate::program::Runnable;
use crate::run::{Heard, Input, Order, Runner};
use crate::system;
use crate::toolchain::{Found, Toolchain, Versions};

/// How a judge is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Limits.
    pub limits: LimitSettings,
    /// Directory of language files over the built-in ones.
    pub languages: Option<PathBuf>,
    /// Bytes of compiled programs that are kept.
    pub cache: u64,
    /// Bytes of output and files in one answer.
    pub answer: u64,
    /// Sandboxes that run at once; `None`: as many as there are seats (`cpus`), or cores where there are none.
    pub parallel: Option<usize>,
    /// CPUs of each sandbox, nobody else's while there are as many as `parallel` asks for; 0: each may use all. Held where
    /// [`can_choose_cpus`](enclos_sandbox::can_choose_cpus) finds what it needs.
    pub cpus: usize,
    /// Policies for which warm sandboxes are kept.
    pub templates: usize,
    /// Weight of each sandbox where processors are short, as `cpu.shares`; held where the host has the controller. `None`: none of its own.
    pub cpu_shares: Option<u64>,
    /// Weaken what this host cannot hold, and say so in each report, instead of refusing.
    pub best_effort: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            limits: LimitSettings::default(),
            languages: None,
            cache: 256 << 20,
            answer: 64 << 20,
            parallel: None,
            cpus: 1,
            templates: 24,
            cpu_shares: Some(256),
            best_effort: false,
        }
    }
}

/// The judge of this machine.
#[derive(Debug)]
pub struct LocalJudge {
    settings: Settings,
    registry: Registry,
    runner: Runner,
    turns: Turns,
    parallel: usize,
    cache: Cache,
    versions: Versions,
}

impl LocalJudge {
    /// A judge whose sandboxes come from `launcher`.
    ///
    /// # Errors
    /// A language file that makes no sense (its name and what is wrong); a default limit that this host cannot hold (what is missing, and the
    /// remedy); no thread can be started.
    pub fn new(launcher: Launcher, settings: Settings) -> io::Result<LocalJudge> {
        let registry = Registry::load(settings.languages.as_deref()).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let seats = match enclos_sandbox::can_choose_cpus() {
            Ok(()) => seats::seats(settings.cpus, &seats::allowed()),
            Err(_) if settings.cpus == 0 => Vec::new(),
            Err(error) => {
                tracing::warn!(%error, "judge.cpus is not held: programs share all CPUs");
                Vec::new()
            }
        };
        let parallel = settings.parallel.unwrap_or(if seats.is_empty() { cores } else { seats.len() }).max(1);
        let mut runner = Runner::new(launcher, settings.templates, parallel, settings.best_effort)?;
        runner.choose_among(seats.concat());
        if let Some(shares) = settings.cpu_shares {
            runner.weigh(shares).map_err(io::Error::other)?;
        }
        runner.prepare(&settings.limits.run).map_err(io::Error::other)?;
        let cache = Cache::new(settings.cache);
        Ok(LocalJudge { settings, registry, runner, turns: Turns::new(parallel, seats), parallel, cache, versions: Versions::default() })
    }

    /// Figures of the compile cache.
    #[must_use]
    pub fn cache(&self) -> CacheFigures {
        self.cache.figures()
    }

    /// Keys of the languages whose source files have this ending.
    #[must_use]
    pub fn with_ending(&self, ending: &str) -> Vec<String> {
        self.registry.all().filter(|(_, language)| language.extension == ending).map(|(key, _)| key.clone()).collect()
    }

    fn find(&self, name: &str) -> Result<&Arc<Definition>, JobError> {
        let unknown = || JobError::UnknownLanguage { name: name.chars().take(64).collect(), nearest: self.registry.nearest(name) };
        self.registry.find(name).ok_or_else(unknown)
    }

    fn toolchain(language: &Definition) -> Result<Arc<Toolchain>, JobError> {
        let toolchain = Toolchain::look_up(language);
        let missing = toolchain.missing(language);
        if missing.is_empty() {
            return Ok(Arc::new(toolchain));
        }
        Err(JobError::MissingLanguage { name: language.name.clone(), missing, packages: language.packages.clone() })
    }

    fn compile(&self, program: &Wanted<'_>, heard: Heard<'_>) -> Result<Made, JobError> {
        let language = self.find(program.language)?;
        let toolchain = Self::toolchain(language)?;
        let source = Source { language, toolchain: &toolchain, files: program.sources, options: program.options, field: program.field };
        make(source, &self.settings.limits, &self.cache, &self.runner, heard, || self.turns.wait(heard.cancel))
    }

    /// Compiles every checker and interactor, once each.
    fn helpers(&self, job: &Job, cancel: &Cancel) -> Result<HashMap<usize, Helper>, JobError> {
        let mut helpers = HashMap::new();
        let checkers = job.tests.iter().filter_map(|test| match &test.checker {
            Checker::Program(program) => Some(("checker", program)),
            _ => None,
        });
        for (field, program) in job.interactor.iter().map(|program| ("interactor", program)).chain(checkers) {
            if helpers.contains_key(&Arc::as_ptr(program).addr()) {
                continue;
            }
            let wanted = Wanted { language: &program.language, sources: &program.sources, options: &program.compile, field };
            let made = self.compile(&wanted, Heard { cancel, observer: &NoObserver, step: Step::Compile })?;
            let helper = made.runnable.ok_or_else(|| {
                let said = made.report.map(|report| String::from_utf8_lossy(&report.stderr).chars().take(500).collect::<String>());
                format!("the {field} was not compiled: {}", said.unwrap_or_default().trim())
            });
            helpers.insert(Arc::as_ptr(program).addr(), helper);
        }
        Ok(helpers)
    }

    fn tests(
        &self,
        job: &Job,
        cancel: &Cancel,
        observer: &dyn Observer,
        solution: &Runnable,
    ) -> Result<Vec<crate::api::TestReport>, JobError> {
        let helpers = self.helpers(job, cancel)?;
        let tests = Tests {
            job,
            settings: &self.settings.limits,
            runner: &self.runner,
            turns: &self.turns,
            cancel,
            observer,
            solution,
            helpers: &helpers,
            budget: AtomicU64::new(self.settings.answer),
        };
        let fatal = job.tests.iter().map(|test| test.fatal || job.stop_at_first_failure).collect();
        let board = Board::new(fatal, |index| skipped(job, index), observer);
        let fault = Mutex::new(None);
        let work = || {
            while let Some(index) = board.take() {
                match tests.run(index) {
                    Ok(report) => board.put(index, report),
                    Err(error) => {
                        fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        return;
                    }
                }
                if fault.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
                    return;
                }
            }
        };
        let at_once = if job.interactive { 1 } else { self.parallel.min(job.tests.len()) };
        std::thread::scope(|scope| {
            for _ in 1..at_once {
                // Without helpers the caller's thread does it all.
                let _ = std::thread::Builder::new().name("judge-test".to_owned()).spawn_scoped(scope, work);
            }
            work();
        });
        match fault.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(board.finish()),
        }
    }

    /// A job that was not compiled: no test is run.
    fn not_compiled(job: &Job, made: Made, observer: &dyn Observer) -> Answer {
        let tests: Vec<_> = (0..job.tests.len()).map(|index| skipped(job, index)).collect();
        tests.iter().enumerate().for_each(|(index, test)| observer.test(index, test));
        let subtasks = score::subtasks(&tests);
        let (score, points) = score::total(&tests, &subtasks);
        let verdict = Verdict::CompileError;
        Answer { verdict, score, points, subtasks, compile: made.report, compile_cached: made.cached, tests: Vec::new() }
    }

    fn status(&self, key: &str, language: &Definition) -> LanguageStatus {
        let toolchain = Toolchain::look_up(language);
        let programs: Vec<ProgramStatus> = language
            .program
            .iter()
            .zip(&toolchain.programs)
            .map(|(program, found)| {
                let version = found.as_ref().map(|found| self.versions.of(found, || self.ask_version(found, &program.version, &toolchain)));
                let (number, text) = version.map_or((None, None), |version| (version.number, version.text));
                let (command, options) = (program.command.clone(), program.options.clone());
                ProgramStatus { command, found: found.is_some(), version: number, version_text: text, options }
            })
            .collect();
        LanguageStatus {
            key: key.to_owned(),
            name: language.name.clone(),
            aliases: language.aliases.clone(),
            extension: language.extension.clone(),
            compiled: !language.compile.is_empty(),
            available: programs.iter().all(|program| program.found),
            programs,
            packages: language.packages.clone(),
            note: language.note.clone(),
        }
    }

    /// What a program says about its version, in a sandbox.
    fn ask_version(&self, found: &Found, arguments: &[String], toolchain: &Toolchain) -> Option<String> {
        if arguments.is_empty() {
            return Some(String::new());
        }
        let cancel = Cancel::new();
        let turn = self.turns.wait(&cancel).ok()?;
        let order = Order {
            program: &found.path,
            arguments,
            environment: Vec::new(),
            limits: &self.settings.limits.compile,
            see: &toolchain.see,
            input: Input::Bytes(b""),
            output: None,
            merge_stderr: false,
            files: Vec::new(),
            collect: false,
            reserves: true,
        };
        let ran = self.runner.run(order, &turn, Heard { cancel: &cancel, observer: &NoObserver, step: Step::Compile }).ok()?;
        let StepReport { mut stdout, stderr, .. } = ran.report;
        stdout.extend(stderr);
        stdout.truncate(4096);
        Some(String::from_utf8_lossy(&stdout).into_owned())
    }
}

/// A program to be compiled.
struct Wanted<'a> {
    language: &'a str,
    sources: &'a [SourceFile],
    options: &'a StepOptions,
    field: &'a str,
}

impl Judge for LocalJudge {
    fn languages(&self) -> Vec<LanguageStatus> {
        let all: Vec<_> = self.registry.all().collect();
        let next = std::sync::atomic::AtomicUsize::new(0);
        let found: Mutex<Vec<Option<LanguageStatus>>> = Mutex::new(vec![None; all.len()]);
        let work = || {
            while let Some((key, language)) = all.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                let status = self.status(key, language);
                let index = all.iter().position(|(other, _)| other == key);
                if let (Some(index), Ok(mut found)) = (index, found.lock()) {
                    found[index] = Some(status);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.parallel {
                scope.spawn(work);
            }
            work();
        });
        found.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect()
    }

    fn system(&self) -> SystemInfo {
        system::look()
    }

    fn limits(&self) -> &LimitSettings {
        &self.settings.limits
    }

    fn run(&self, job: &Job, cancel: &Cancel, observer: &dyn Observer) -> Result<Answer, JobError> {
        validate::job(job, &self.settings.limits)?;
        let wanted = Wanted { language: &job.language, sources: &job.sources, options: &job.compile, field: "sources" };
        let mut made = self.compile(&wanted, Heard { cancel, observer, step: Step::Compile })?;
        if let Some(report) = &made.report {
            observer.compiled(report);
        }
        let Some(solution) = made.runnable.take() else { return Ok(Self::not_compiled(job, made, observer)) };
        let tests = self.tests(job, cancel, observer, &solution)?;
        let subtasks = score::subtasks(&tests);
        let (score, points) = score::total(&tests, &subtasks);
        let verdict = score::verdict(&tests);
        Ok(Answer { verdict, score, points, subtasks, compile: made.report, compile_cached: made.cached, tests })
    }

    fn reference(&self, language: &str) -> Result<Job, JobError> {
        let language = self.find(language)?;
        let source = SourceFile { name: None, contents: language.reference.clone().into_bytes() };
        let test = Test { expected: Some(b"42\n".to_vec()), checker: Checker::Exact, ..Test::default() };
        Ok(Job { language: language.key(), sources: vec![source], tests: vec![test], ..Job::default() })
    }
}

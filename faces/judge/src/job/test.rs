//! One test: run, compare, count.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use enclos_sandbox::collect;

use super::score;
use super::turns::Turns;
use crate::api::{
    Cancel, CheckReport, Checker, Job, JobError, LimitSettings, Limits, Observer, OutputFile, Program, RunFigures, Step, StepReport, Test,
    TestReport, Verdict,
};
use crate::checker;
use crate::interactor::{Both, together};
use crate::program::{Runnable, names, seal};
use crate::run::{BOX, Heard, Input, Order, Ran, Runner};

/// A program of the problem, or why there is none.
pub type Helper = Result<Runnable, String>;

/// Everything that the tests of a job share.
pub struct Tests<'a> {
    /// The job.
    pub job: &'a Job,
    /// Limits.
    pub settings: &'a LimitSettings,
    /// Runs sandboxes.
    pub runner: &'a Runner,
    /// How many at once.
    pub turns: &'a Turns,
    /// Ends it.
    pub cancel: &'a Cancel,
    /// Hears of it.
    pub observer: &'a dyn Observer,
    /// The job's program.
    pub solution: &'a Runnable,
    /// Checkers and interactor, by the address of their program.
    pub helpers: &'a HashMap<usize, Helper>,
    /// Bytes of output that the answer may still hold.
    pub budget: AtomicU64,
}

impl Tests<'_> {
    /// Runs the test at `index`, as often as the job asks.
    ///
    /// # Errors
    /// When the job was cancelled, or Enclos fails.
    pub fn run(&self, index: usize) -> Result<TestReport, JobError> {
        let times = self.job.runs.max(1);
        let mut worst = self.once(index)?;
        let mut runs = Vec::new();
        if times > 1 {
            runs.push(figures(&worst));
        }
        for _ in 1..times {
            let next = self.once(index)?;
            runs.push(figures(&next));
            let cpu = |report: &TestReport| report.step.as_ref().map(|step| step.cpu);
            if (next.verdict, cpu(&next)) > (worst.verdict, cpu(&worst)) {
                worst = next;
            }
        }
        worst.runs = runs;
        self.bound(&mut worst);
        Ok(worst)
    }

    fn test(&self, index: usize) -> &Test {
        &self.job.tests[index]
    }

    fn once(&self, index: usize) -> Result<TestReport, JobError> {
        let test = self.test(index);
        let (step, check) = match &self.job.interactor {
            Some(program) => self.with_interactor(index, program)?,
            None => {
                let ran = self.solve(index)?;
                let check = match ran.report.verdict {
                    Verdict::Ok => self.check(test, &ran.report.stdout)?,
                    _ => None,
                };
                (self.with_files(test, ran), check)
            }
        };
        let verdict = check.as_ref().map_or(step.verdict, |check| check.verdict);
        let points = score::points(test);
        let score = points * score::share(verdict, check.as_ref().map(|check| check.share));
        let name = name(test, index);
        Ok(TestReport { name, verdict, score, points, subtask: test.subtask.clone(), step: Some(step), check, runs: Vec::new() })
    }

    fn heard(&self, index: usize) -> Heard<'_> {
        Heard { cancel: self.cancel, observer: self.observer, step: Step::Test(index) }
    }

    /// Limits of the job's program in one test.
    fn limits(&self, test: &Test) -> Limits {
        let language = &self.solution.language.run;
        let mut run = self.job.run.limits.clone();
        if language.ignore_address_space {
            run.address_space = None;
        }
        effective(&test.limits.over(&run), &language.limits.limits(), self.settings)
    }

    fn solve(&self, index: usize) -> Result<Ran, JobError> {
        let test = self.test(index);
        let limits = self.limits(test);
        let input = if self.job.interactive { Input::Live(&test.stdin) } else { Input::Bytes(&test.stdin) };
        let call = self.call(test, &limits)?;
        let turn = self.turns.wait(self.cancel)?;
        self.runner.run(call.order(&limits, self.solution, input, !test.files_out.is_empty()), &turn, self.heard(index))
    }

    /// The words and files of the job's program in one test.
    fn call(&self, test: &Test, limits: &Limits) -> Result<Call, JobError> {
        let mut call = Call::of(self.solution, limits);
        call.arguments.extend(test.arguments.as_ref().unwrap_or(&self.job.run.arguments).iter().cloned());
        call.environment.extend(self.job.run.environment.clone());
        call.environment.extend(test.environment.clone());
        call.merge_stderr = self.job.run.merge_stderr;
        if !test.files_in.is_empty() {
            let names = names(&test.files_in, None, "files_in")?;
            call.files.push((BOX, seal(names.into_iter().zip(test.files_in.iter().map(|file| &file.contents[..])), 0o644)?));
        }
        Ok(call)
    }

    /// Both programs, joined by pipes. The interactor has the last word, unless a limit ended the job's program.
    fn with_interactor(&self, index: usize, program: &Arc<Program>) -> Result<(StepReport, Option<CheckReport>), JobError> {
        let test = self.test(index);
        let interactor = match self.helper(program) {
            Ok(interactor) => interactor,
            Err(why) => return Ok((crate::verdict::empty_report(Verdict::CheckerFailed), Some(failed(why)))),
        };
        let limits = self.limits(test);
        let call = self.call(test, &limits)?;
        let mut its_limits = effective(&program.run.limits, &interactor.language.run.limits.limits(), self.settings);
        // It must outlive the program whose silence it may be waiting for.
        its_limits.wall = its_limits.wall.max(limits.wall.map(|wall| wall + Duration::from_secs(2)));
        let its_call = helper_call(interactor, program, &its_limits, test, None)?;
        let both = Both {
            solution: &|input, output| Order { output, ..call.order(&limits, self.solution, input, !test.files_out.is_empty()) },
            interactor: &|input, output| Order { output, ..its_call.order(&its_limits, interactor, input, false) },
        };
        let turn = self.turns.wait(self.cancel)?;
        let (ran, theirs) = together(self.runner, &both, &turn, self.heard(index))?;
        let check = checker::program::judged(theirs.report);
        let step = self.with_files(test, ran);
        // A program whose interactor has said no dies of a closed pipe, or waits for words that never come. An interactor that only saw its input
        // end says nothing about why.
        const SAW_THE_END: Option<i32> = Some(8);
        let said_no = check.verdict == Verdict::WrongAnswer && check.step.as_ref().and_then(|step| step.exit_code) != SAW_THE_END;
        let own_fault = match step.verdict {
            Verdict::Ok => false,
            Verdict::RuntimeError | Verdict::Signaled | Verdict::Idleness => !said_no,
            _ => true,
        };
        Ok((step, (!own_fault).then_some(check)))
    }

    fn helper(&self, program: &Arc<Program>) -> Result<&Runnable, &str> {
        match self.helpers.get(&Arc::as_ptr(program).addr()) {
            Some(Ok(runnable)) => Ok(runnable),
            Some(Err(why)) => Err(why),
            None => Err("it was not prepared"),
        }
    }

    fn check(&self, test: &Test, printed: &[u8]) -> Result<Option<CheckReport>, JobError> {
        let Checker::Program(program) = &test.checker else {
            return Ok(checker::compare(&test.checker, test.expected.as_deref().unwrap_or_default(), printed));
        };
        let checker = match self.helper(program) {
            Ok(checker) => checker,
            Err(why) => return Ok(Some(failed(why))),
        };
        let limits = effective(&program.run.limits, &checker.language.run.limits.limits(), self.settings);
        let call = helper_call(checker, program, &limits, test, Some(printed))?;
        let turn = self.turns.wait(self.cancel)?;
        let heard = Heard { cancel: self.cancel, observer: &crate::api::NoObserver, step: Step::Compile };
        let ran = self.runner.run(call.order(&limits, checker, Input::Bytes(b""), false), &turn, heard)?;
        Ok(Some(checker::program::judged(ran.report)))
    }

    /// The files that the test asks for, from a directory in which nothing changes any more.
    fn with_files(&self, test: &Test, ran: Ran) -> StepReport {
        let Ran { mut report, directory } = ran;
        for name in &test.files_out {
            let left = self.budget.load(Ordering::Relaxed);
            let contents = match &directory {
                Some(directory) => collect::read(directory, name, left).map_err(|error| error.to_string()),
                None => Err("the working directory is gone".to_owned()),
            };
            if let Ok(bytes) = &contents {
                self.spend(bytes.len());
            }
            report.files.push(OutputFile { name: name.clone(), contents });
        }
        report
    }

    /// Takes from the budget what there is of `bytes`; gives how much that was.
    fn spend(&self, bytes: usize) -> usize {
        let spent = self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(bytes as u64)));
        usize::try_from(spent.unwrap_or(0)).unwrap_or(usize::MAX).min(bytes)
    }

    /// Cuts what the answer has no room for; it was compared whole.
    fn bound(&self, report: &mut TestReport) {
        let steps = report.step.iter_mut().chain(report.check.iter_mut().filter_map(|check| check.step.as_mut()));
        for step in steps {
            for (bytes, truncated) in [(&mut step.stdout, &mut step.stdout_truncated), (&mut step.stderr, &mut step.stderr_truncated)] {
                let room = self.spend(bytes.len());
                if room < bytes.len() {
                    bytes.truncate(room);
                    bytes.shrink_to_fit();
                    *truncated = true;
                }
            }
        }
    }
}

/// A program that a test does not reach.
#[must_use]
pub fn skipped(job: &Job, index: usize) -> TestReport {
    let test = &job.tests[index];
    TestReport {
        name: name(test, index),
        verdict: Verdict::Skipped,
        score: 0.0,
        points: score::points(test),
        subtask: test.subtask.clone(),
        step: None,
        check: None,
        runs: Vec::new(),
    }
}

fn name(test: &Test, index: usize) -> String {
    test.name.clone().unwrap_or_else(|| format!("test{index:03}"))
}

fn figures(report: &TestReport) -> RunFigures {
    let step = report.step.as_ref();
    RunFigures {
        verdict: report.verdict,
        cpu: step.map_or(Duration::ZERO, |step| step.cpu),
        wall: step.map_or(Duration::ZERO, |step| step.wall),
        memory: step.and_then(|step| step.memory),
    }
}

fn failed(why: &str) -> CheckReport {
    CheckReport { verdict: Verdict::CheckerFailed, share: 0.0, message: why.to_owned(), step: None }
}

/// The job's limits over the language's over the defaults. Who asks for more CPU time than the default wall clock allows means to get it.
fn effective(asked: &Limits, language: &Limits, settings: &LimitSettings) -> Limits {
    let mut limits = asked.over(language).over(&settings.run);
    if asked.wall.is_none() && (asked.cpu.is_some() || asked.extra_cpu.is_some()) {
        let cpu = limits.cpu.max(limits.extra_cpu).unwrap_or_default();
        let wall = limits.wall.unwrap_or_default().max(cpu * 3);
        limits.wall = Some(settings.most.wall.map_or(wall, |most| wall.min(most)));
    }
    limits
}

/// What starts a program, owned, so that orders can borrow from it.
struct Call {
    program: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    files: Vec<(&'static str, enclos_sandbox::Files)>,
    merge_stderr: bool,
}

impl Call {
    fn of(runnable: &Runnable, limits: &Limits) -> Call {
        let (program, arguments) = runnable.words(limits.memory);
        Call {
            program,
            arguments,
            environment: runnable.language.run.environment.clone().into_iter().collect(),
            files: vec![(BOX, runnable.files.clone())],
            merge_stderr: false,
        }
    }

    fn order<'a>(&'a self, limits: &'a Limits, runnable: &'a Runnable, input: Input<'a>, collect: bool) -> Order<'a> {
        Order {
            program: &self.program,
            arguments: &self.arguments,
            environment: self.environment.clone(),
            limits,
            see: runnable.see(),
            input,
            output: None,
            merge_stderr: self.merge_stderr,
            files: self.files.clone(),
            collect,
            reserves: runnable.language.reserves_address_space,
        }
    }
}

/// A checker's or interactor's call: `input output answer`, then its own arguments.
fn helper_call(helper: &Runnable, program: &Program, limits: &Limits, test: &Test, printed: Option<&[u8]>) -> Result<Call, JobError> {
    const NAMES: [&str; 3] = ["input", "output", "answer"];
    let mut call = Call::of(helper, limits);
    call.arguments.extend(NAMES.map(|name| format!("{BOX}/{name}")));
    call.arguments.extend(program.run.arguments.iter().cloned());
    call.environment.extend(program.run.environment.clone());
    let contents = [&test.stdin[..], printed.unwrap_or_default(), test.expected.as_deref().unwrap_or_default()];
    call.files.push((BOX, seal(NAMES.into_iter().zip(contents), 0o644)?));
    Ok(call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_cpu_time_brings_more_wall_clock() {
        let settings = LimitSettings::default();
        let with = |cpu: u64, wall: Option<u64>| {
            let asked = Limits { cpu: Some(Duration::from_secs(cpu)), wall: wall.map(Duration::from_secs), ..Limits::default() };
            effective(&asked, &Limits::default(), &settings).wall.unwrap()
        };
        assert_eq!(with(1, None), settings.run.wall.unwrap());
        assert_eq!(with(10, None), Duration::from_secs(30));
        assert_eq!(with(60, None), settings.most.wall.unwrap());
        assert_eq!(with(10, Some(1)), Duration::from_secs(1));
    }
}

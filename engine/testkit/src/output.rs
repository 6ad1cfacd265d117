//! What came of one run of the tool.

use std::time::Duration;

use enclos_spec::{Report, Verdict};

/// What came of one run of the tool, or of what stood in for it in a control run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Exit status; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Everything written to stdout.
    pub stdout: Vec<u8>,
    /// Everything written to stderr.
    pub stderr: Vec<u8>,
    /// The report, where one was asked for and written.
    pub report: Option<Report>,
    /// From start to end.
    pub elapsed: Duration,
    /// It did not end within the test's time and was killed.
    pub stuck: bool,
}

impl Outcome {
    /// Stdout as text.
    #[must_use]
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Stderr as text.
    #[must_use]
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The verdict of the report; without a report (control runs) what the status alone says.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match (&self.report, self.code) {
            (Some(report), _) => report.verdict,
            (None, Some(0)) => Verdict::Ok,
            (None, Some(125)) => Verdict::InternalError,
            (None, Some(_)) => Verdict::RuntimeError,
            (None, None) => Verdict::Signaled,
        }
    }

    /// A figure of the report.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<u64> {
        self.report.as_ref()?.figure(name).map(|figure| figure.value)
    }

    /// Every `WHAT = RESULT` line the probe printed.
    #[must_use]
    pub fn tries(&self) -> Vec<(String, String)> {
        let text = self.out();
        text.lines().filter_map(|line| line.rsplit_once(" = ").map(|(what, result)| (what.to_owned(), result.to_owned()))).collect()
    }

    /// The result of one try.
    #[must_use]
    pub fn try_of(&self, what: &str) -> Option<String> {
        self.tries().into_iter().find(|(name, _)| name == what).map(|(_, result)| result)
    }

    /// All of it in a few lines, for a failing test.
    #[must_use]
    pub fn describe(&self) -> String {
        let cut = |bytes: &[u8]| -> String {
            let text = String::from_utf8_lossy(bytes);
            text.char_indices().nth(2000).map_or_else(|| text.to_string(), |(at, _)| format!("{}…", &text[..at]))
        };
        let report = self.report.as_ref().map_or_else(
            || "none".to_owned(),
            |r| {
                format!("{} (exit {:?}, signal {:?}): {}", r.verdict, r.exit_code, r.signal, r.evidence.as_deref().unwrap_or("no evidence"))
            },
        );
        format!(
            "code {:?} signal {:?} after {:?}{}\nreport: {report}\nstdout: {}\nstderr: {}",
            self.code,
            self.signal,
            self.elapsed,
            if self.stuck { " (stuck, killed by the test)" } else { "" },
            cut(&self.stdout),
            cut(&self.stderr)
        )
    }
}

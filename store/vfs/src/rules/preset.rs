//! Ready-made lists, with AgentFense's names (dossier, 1.11), that hide what they say they hide.

use std::str::FromStr;

use super::{Level, Rule, RuleError};

/// A ready-made list of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Everything can be read but secrets and `.git`, which are hidden; `/output` and `/tmp` can be written.
    AgentSafe,
    /// Everything can be read.
    ReadOnly,
    /// Everything can be written.
    FullAccess,
    /// Everything can be written but secrets, which are hidden.
    Development,
    /// Names and sizes are shown, nothing can be read.
    ViewOnly,
}

/// What both presets that are for work take for secrets.
const SECRETS: [&str; 4] = ["**/.env*", "**/secrets/**", "**/*.key", "**/*.pem"];

impl Preset {
    /// All, in the order in which they are listed.
    pub const ALL: [Preset; 5] = [Preset::AgentSafe, Preset::Development, Preset::FullAccess, Preset::ReadOnly, Preset::ViewOnly];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Preset::AgentSafe => "agent-safe",
            Preset::ReadOnly => "read-only",
            Preset::FullAccess => "full-access",
            Preset::Development => "development",
            Preset::ViewOnly => "view-only",
        }
    }

    /// Its rules.
    #[must_use]
    pub fn rules(self) -> Vec<Rule> {
        let all = |level| vec![Rule::glob("**/*", level)];
        let secrets = || SECRETS.map(|pattern| Rule::glob(pattern, Level::None).priority(100));
        match self {
            Preset::ReadOnly => all(Level::Read),
            Preset::FullAccess => all(Level::Write),
            Preset::ViewOnly => all(Level::View),
            Preset::Development => all(Level::Write).into_iter().chain(secrets()).collect(),
            Preset::AgentSafe => {
                let write = ["/output/**", "/tmp/**"].map(|pattern| Rule::glob(pattern, Level::Write).priority(10));
                let credentials = Rule::glob("**/credentials*", Level::None).priority(100);
                let git = Rule::glob("**/.git/**", Level::None).priority(50);
                all(Level::Read).into_iter().chain(write).chain(secrets()).chain([credentials, git]).collect()
            }
        }
    }
}

impl FromStr for Preset {
    type Err = RuleError;
    fn from_str(text: &str) -> Result<Preset, RuleError> {
        let why = "a preset is one of agent-safe, development, full-access, read-only, view-only";
        Preset::ALL.into_iter().find(|preset| preset.as_str() == text).ok_or(RuleError { pattern: text.chars().take(80).collect(), why })
    }
}

//! A policy: which system call gets which answer, as plain data.

use std::collections::BTreeMap;
use std::fmt;

use crate::action::{Action, MAX_ERRNO};
use crate::arch::{Arch, X32_BIT};
use crate::data::SeccompData;
use crate::error::FilterError;

/// Which system call gets which answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whose numbers the rules are about.
    pub arch: Arch,
    /// The answer to calls made through another architecture's ABI, e.g. 32-bit calls. `None`: the filter does not look, and so is sound only
    /// beside another one that does.
    pub foreign: Option<Action>,
    /// The answer to x32 calls, on x86_64. `None`: their numbers are ordinary ones without a rule.
    pub x32: Option<Action>,
    /// The answer to numbers without a rule.
    pub default: Action,
    /// The rules, by number.
    pub rules: BTreeMap<u32, Rule>,
}

/// The answer to one system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Looked at in order; the first whose conditions all hold gives the answer.
    pub cases: Vec<Case>,
    /// The answer when no case does.
    pub otherwise: Action,
    /// Why, in one line.
    pub why: &'static str,
}

/// An answer under conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// All must hold.
    pub when: Vec<Condition>,
    /// The answer.
    pub action: Action,
}

/// Something that holds of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, 0 to 5.
    pub argument: u8,
    /// What must hold of it.
    pub test: Test,
}

/// What must hold of an argument, read as 64 unsigned bits.
///
/// The kernel cuts many arguments to 32 bits after the filter has seen all 64. Compare only the bits the kernel will look at
/// ([`Condition::low32`]), or a caller gets past the rule by setting a bit above them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// The masked bits are these.
    Equal {
        /// Bits looked at.
        mask: u64,
        /// What they must be; no bit outside the mask.
        value: u64,
    },
    /// The masked bits are not these.
    NotEqual {
        /// Bits looked at.
        mask: u64,
        /// What they must not be; no bit outside the mask.
        value: u64,
    },
    /// Below this number.
    Less(u64),
    /// Above this number.
    Greater(u64),
}

impl Test {
    /// Whether it holds.
    #[must_use]
    pub const fn holds(self, argument: u64) -> bool {
        match self {
            Test::Equal { mask, value } => argument & mask == value,
            Test::NotEqual { mask, value } => argument & mask != value,
            Test::Less(bound) => argument < bound,
            Test::Greater(bound) => argument > bound,
        }
    }
}

impl Condition {
    /// All 64 bits are this number.
    #[must_use]
    pub const fn equal(argument: u8, value: u64) -> Self {
        Condition { argument, test: Test::Equal { mask: u64::MAX, value } }
    }

    /// The low 32 bits are this number: for what the kernel reads as `int`.
    #[must_use]
    pub const fn low32(argument: u8, value: u32) -> Self {
        Condition::masked(argument, 0xffff_ffff, value as u64)
    }

    /// The low 32 bits are not this number.
    #[must_use]
    pub const fn not_low32(argument: u8, value: u32) -> Self {
        Condition { argument, test: Test::NotEqual { mask: 0xffff_ffff, value: value as u64 } }
    }

    /// The masked bits are these.
    #[must_use]
    pub const fn masked(argument: u8, mask: u64, value: u64) -> Self {
        Condition { argument, test: Test::Equal { mask, value } }
    }

    /// At least one of these bits is set.
    #[must_use]
    pub const fn any_bit(argument: u8, mask: u64) -> Self {
        Condition { argument, test: Test::NotEqual { mask, value: 0 } }
    }
}

impl Rule {
    /// A rule that does not look at arguments.
    #[must_use]
    pub const fn always(action: Action, why: &'static str) -> Self {
        Rule { cases: Vec::new(), otherwise: action, why }
    }

    /// The answer for these arguments.
    #[must_use]
    pub fn decide(&self, arguments: &[u64; 6]) -> Action {
        let holds = |c: &Condition| c.test.holds(arguments[usize::from(c.argument)]);
        self.cases.iter().find(|case| case.when.iter().all(holds)).map_or(self.otherwise, |case| case.action)
    }

    /// The answer, where it depends on no argument.
    #[must_use]
    pub fn unconditional(&self) -> Option<Action> {
        self.cases.is_empty().then_some(self.otherwise)
    }

    /// Every answer it can give.
    pub(crate) fn actions(&self) -> impl Iterator<Item = Action> {
        self.cases.iter().map(|case| case.action).chain([self.otherwise])
    }
}

impl Policy {
    /// A policy without rules. Other architectures kill the process, as the kernel cannot know which call was meant; x32 is answered
    /// ENOSYS, as by a kernel built without it.
    #[must_use]
    pub const fn new(arch: Arch, default: Action) -> Self {
        let x32 = Some(Action::Errno(crate::action::errno::ENOSYS));
        Policy { arch, foreign: Some(Action::KillProcess), x32, default, rules: BTreeMap::new() }
    }

    /// What the policy says: the meaning every compiled program must have.
    #[must_use]
    pub fn decide(&self, data: &SeccompData) -> Action {
        match (self.foreign, self.x32) {
            (Some(foreign), _) if data.arch != self.arch.audit() => foreign,
            (_, Some(x32)) if self.arch == Arch::X86_64 && data.nr >= X32_BIT => x32,
            _ => self.rules.get(&data.nr).map_or(self.default, |rule| rule.decide(&data.args)),
        }
    }

    /// The same policy with everything that is not allowed let through, and logged by the kernel (`SECCOMP_RET_LOG`): other ABIs too.
    /// It confines nothing; it shows what a program would be refused.
    #[must_use]
    pub fn logged(&self) -> Policy {
        let soften = |action: Action| if action == Action::Allow { Action::Allow } else { Action::Log };
        let soften_rule = |rule: &Rule| Rule {
            cases: rule.cases.iter().map(|case| Case { when: case.when.clone(), action: soften(case.action) }).collect(),
            otherwise: soften(rule.otherwise),
            why: rule.why,
        };
        Policy {
            arch: self.arch,
            foreign: self.foreign.map(soften),
            x32: self.x32.map(soften),
            default: soften(self.default),
            rules: self.rules.iter().map(|(number, rule)| (*number, soften_rule(rule))).collect(),
        }
    }

    /// One line for each rule, by number: for documents and for people who ask why.
    #[must_use]
    pub fn describe(&self) -> Vec<Described> {
        let name = |number| self.arch.syscall(number).map(crate::table::Syscall::name);
        self.rules.iter().map(|(&number, rule)| Described { number, name: name(number), answer: rule.to_string(), why: rule.why }).collect()
    }

    /// # Errors
    /// The first thing in it that has no meaning.
    pub(crate) fn check(&self) -> Result<(), FilterError> {
        let errno = |action: Action| match action {
            Action::Errno(errno) if errno > MAX_ERRNO => Err(FilterError::Errno { errno }),
            _ => Ok(()),
        };
        [Some(self.default), self.foreign, self.x32].into_iter().flatten().try_for_each(errno)?;
        for (&number, rule) in &self.rules {
            if number >= X32_BIT && self.arch == Arch::X86_64 && self.x32.is_some() {
                return Err(FilterError::Number { number });
            }
            rule.actions().try_for_each(errno)?;
            for condition in rule.cases.iter().flat_map(|case| &case.when) {
                condition.check(number)?;
            }
        }
        Ok(())
    }
}

impl Condition {
    fn check(&self, number: u32) -> Result<(), FilterError> {
        if self.argument > 5 {
            return Err(FilterError::Argument { number, argument: self.argument });
        }
        match self.test {
            Test::Equal { mask, value } | Test::NotEqual { mask, value } if value & !mask != 0 => {
                Err(FilterError::Mask { number, mask, value })
            }
            _ => Ok(()),
        }
    }
}

/// One rule in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The system call's number.
    pub number: u32,
    /// Its name, where this crate knows one.
    pub name: Option<&'static str>,
    /// The answer, with the conditions on arguments.
    pub answer: String,
    /// Why.
    pub why: &'static str,
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>4}  {:<24}  {}  # {}", self.number, self.name.unwrap_or("?"), self.answer, self.why)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            write!(f, "{} if ", case.action)?;
            for (i, condition) in case.when.iter().enumerate() {
                write!(f, "{}{condition}", if i == 0 { "" } else { " and " })?;
            }
            f.write_str(", ")?;
        }
        write!(f, "{}{}", if self.cases.is_empty() { "" } else { "else " }, self.otherwise)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const INT: u64 = 0xffff_ffff;
        let argument = self.argument;
        match self.test {
            Test::Equal { mask: u64::MAX, value } => write!(f, "arg{argument} = {value:#x}"),
            Test::NotEqual { mask: u64::MAX, value } => write!(f, "arg{argument} != {value:#x}"),
            Test::Equal { mask: INT, value } => write!(f, "int arg{argument} = {value:#x}"),
            Test::NotEqual { mask: INT, value } => write!(f, "int arg{argument} != {value:#x}"),
            Test::Equal { mask, value } => write!(f, "arg{argument} & {mask:#x} = {value:#x}"),
            Test::NotEqual { mask, value: 0 } => write!(f, "arg{argument} has a bit of {mask:#x}"),
            Test::NotEqual { mask, value } => write!(f, "arg{argument} & {mask:#x} != {value:#x}"),
            Test::Less(bound) => write!(f, "arg{argument} < {bound:#x}"),
            Test::Greater(bound) => write!(f, "arg{argument} > {bound:#x}"),
        }
    }
}

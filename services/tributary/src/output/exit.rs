/// How the process ends; documented in docs/exit-codes.md and `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: done.
    Done,
    /// 1: a service or I/O did not answer as it should.
    Failed,
    /// 2: settings or usage are wrong.
    Usage,
    /// 3: verify found a violation.
    Violation,
    /// 4: a table is stopped and a person must act.
    Stopped,
}

impl ExitCode {
    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Violation => 3,
            Self::Stopped => 4,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(exit: ExitCode) -> Self {
        Self::from(exit.code())
    }
}

//! Independent readers in Python.
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{cache::made_once, process::run};

const REQUIREMENTS: &str = include_str!("../python/requirements.txt");
const PACKAGES: &str = "python3 python3-venv";

/// A virtual environment with DuckDB and pyarrow in pinned versions (`python/requirements.txt`), made once in the cache.
#[derive(Clone, Debug)]
pub struct PythonReaders {
    python: PathBuf,
}

impl PythonReaders {
    /// Makes the environment if it is not there.
    ///
    /// # Errors
    /// `python3` is missing, or the packages cannot be downloaded.
    pub fn prepare() -> Result<Self> {
        let folder = made_once(&format!("venv-{}", fingerprint(REQUIREMENTS)), |folder| {
            run(Command::new("python3").args(["-m", "venv"]).arg(folder), PACKAGES).context("make the virtual environment")?;
            let requirements = folder.join("requirements.txt");
            fs::write(&requirements, REQUIREMENTS).context("write the requirements")?;
            let mut pip = Command::new(folder.join("bin/python"));
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&requirements);
            run(&mut pip, PACKAGES).context("install the readers")?;
            Ok(())
        })?;
        Ok(Self { python: folder.join("bin/python") })
    }

    /// Runs a script (its text) with arguments (`sys.argv[1:]`); returns what it printed.
    ///
    /// # Errors
    /// It ended with an error; its output is in the message.
    pub fn run_python<A: AsRef<OsStr>>(&self, script: &str, arguments: &[A]) -> Result<String> {
        run(Command::new(&self.python).args(["-c", script]).args(arguments).env("TZ", "UTC"), PACKAGES)
    }

    /// Rows of a query of DuckDB, one a line, values separated by `|`, nulls as `NULL`. The time zone is UTC.
    ///
    /// # Errors
    /// The query failed; DuckDB's text is in the message.
    pub fn duckdb(&self, query: &str) -> Result<String> {
        const SCRIPT: &str = "import duckdb, sys\n\
            connection = duckdb.connect()\n\
            connection.sql('SET enable_progress_bar = false')\n\
            for row in connection.sql(sys.argv[1]).fetchall():\n    \
                print('|'.join('NULL' if value is None else str(value) for value in row))";
        self.run_python(SCRIPT, &[query])
    }

    /// The interpreter, for processes that a test starts itself.
    pub fn interpreter(&self) -> &Path {
        &self.python
    }
}

/// FNV-1a: other requirements get another folder.
fn fingerprint(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}

//! What is wrong with a configuration: where, and what would be right.
//!
//! Invariant: a problem never holds a configured value or a line of the source, only places, names
//! of keys and words of ours, so that printing one cannot leak a secret.

use std::fmt;
use std::path::PathBuf;

use serde_json::{Value, json};

/// One thing that is wrong, or that deserves a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, or `environment`.
    pub file: String,
    /// The dotted path of the key, or the name of the variable; empty for the file as a whole.
    pub key: String,
    /// What would be right; lower case, no full stop.
    pub message: String,
}

impl Problem {
    /// `message` goes on from the key: "must be ..."; it never holds a value.
    pub fn new(file: &str, key: &str, message: impl Into<String>) -> Self {
        Self {
            file: tame(file),
            key: tame(key),
            message: message.into(),
        }
    }

    pub fn to_json(&self) -> Value {
        json!({"file": self.file, "key": self.key, "message": self.message})
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "{}: {}", self.file, self.message)
        } else {
            write!(f, "{}: {}: {}", self.file, self.key, self.message)
        }
    }
}

/// Why a configuration cannot be used: at least one problem, and the warnings found on the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems {
    list: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Where the operator's provider files are to be, if that could be read.
    providers_path: Option<PathBuf>,
}

impl Problems {
    /// The first problem and more; what was loaded until then may have had warnings.
    pub fn found(first: Problem, more: Vec<Problem>, warnings: Vec<Problem>) -> Self {
        let mut list = vec![first];
        list.extend(more);
        Self {
            list,
            warnings,
            providers_path: None,
        }
    }

    pub(super) fn providers_path(&self) -> Option<&PathBuf> {
        self.providers_path.as_ref()
    }

    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    pub fn to_json(&self) -> Value {
        let all = |list: &[Problem]| list.iter().map(Problem::to_json).collect::<Vec<_>>();
        json!({"problems": all(&self.list), "warnings": all(&self.warnings)})
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self {
            list: vec![problem],
            warnings: Vec::new(),
            providers_path: None,
        }
    }
}

/// One line each.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// Collects problems and warnings, so that all are told at once.
#[derive(Debug, Default)]
pub(super) struct Report {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// `[providers] path`, as far as it is known.
    pub(super) providers_path: Option<PathBuf>,
    /// The files that it was read from.
    pub(super) configuration: Vec<PathBuf>,
    /// The files with secrets that it names.
    pub(super) secret_files: Vec<PathBuf>,
}

impl Report {
    pub(super) fn problem(&mut self, file: &str, key: &str, message: impl Into<String>) {
        let problem = Problem::new(file, key, message);
        // An inherited value is read twice; a variable may stand behind several integrations.
        if self.problems.last() != Some(&problem) {
            self.problems.push(problem);
        }
    }

    pub(super) fn warning(&mut self, file: &str, key: &str, message: impl Into<String>) {
        self.warnings.push(Problem::new(file, key, message));
    }

    /// How many problems were told so far.
    pub(super) fn count(&self) -> usize {
        self.problems.len()
    }

    pub(super) fn clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// The value and the warnings if there was no problem.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<(T, Vec<Problem>), Problems> {
        match value {
            Some(value) if self.problems.is_empty() => Ok((value, self.warnings)),
            _ => Err(self.refuse()),
        }
    }

    /// What stands in the way: never an empty list.
    pub(super) fn refuse(self) -> Problems {
        let Self {
            mut problems,
            warnings,
            providers_path,
            configuration: _,
            secret_files: _,
        } = self;
        if problems.is_empty() {
            problems.push(Problem::new("configuration", "", "cannot be used"));
        }
        Problems {
            list: problems,
            warnings,
            providers_path,
        }
    }
}

/// File and key names come from outside too: one line, bounded.
fn tame(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .take(300)
        .collect()
}

/// The known names nearest to one that is not known, as a question; more than one on a tie.
pub(super) fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let wrong: String = wrong.chars().take(64).collect::<String>().to_lowercase();
    let mut ranked: Vec<(usize, &str)> = known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wrong, name), name))
        .collect();
    ranked.sort_unstable();
    ranked.dedup();
    let Some(&(best, _)) = ranked.first() else {
        return String::new();
    };
    if best > (wrong.chars().count() / 2).max(2) {
        let names: Vec<_> = ranked.iter().map(|(_, name)| format!("'{name}'")).collect();
        return if names.len() > 16 {
            String::new()
        } else {
            format!("; known here: {}", names.join(", "))
        };
    }
    let nearest: Vec<_> = ranked
        .iter()
        .take_while(|(distance, _)| *distance == best)
        .take(4)
        .map(|(_, name)| format!("'{name}'"))
        .collect();
    format!("; did you mean {}?", nearest.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_and_json() {
        let problem = Problem::new("a.toml", "server.wait\n", "is wrong");
        assert_eq!(problem.to_string(), "a.toml: server.wait?: is wrong");
        assert_eq!(problem.to_json()["key"], "server.wait?");
        let problems = Problems::from(problem);
        assert_eq!(problems.to_json()["problems"][0]["message"], "is wrong");
    }

    #[test]
    fn nearest_names() {
        assert_eq!(
            did_you_mean("wiat", ["wait", "listen"]),
            "; did you mean 'wait'?"
        );
        assert_eq!(
            did_you_mean("expires_an", ["expires_in", "expires_at"]),
            "; did you mean 'expires_at' or 'expires_in'?"
        );
        assert_eq!(did_you_mean("zzzzzz", ["a", "b"]), "; known here: 'a', 'b'");
        assert_eq!(did_you_mean("x", []), "");
    }
}

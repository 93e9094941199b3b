//! What differs, and how much does not.

use crate::normal::normal;
use crate::side::Outcome;
use crate::table::{Expected, Line, Table};
use similar::TextDiff;

/// What came of the lines so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    same: usize,
    explained: usize,
    wrong: usize,
}

impl Report {
    /// Takes a line's outcomes; whether it is as it should be.
    pub(crate) fn line(&mut self, table: &Table, line: &Line, version: u32, want: &Outcome, got: &Outcome) -> bool {
        if std::env::var_os("VERBOSE").is_some() {
            let Outcome { code, stdout, stderr } = want;
            println!("\n-- {}:{}: {}\n{stdout}{stderr}exit code {code:?}", table.name, line.number, line.command);
        }
        let differences = differences(want, got);
        let same = differences.is_empty();
        let right = match line.expected {
            Expected::SameSince(since) if version < since => {
                self.explained += 1;
                return true;
            }
            Expected::Different => true,
            Expected::Same | Expected::SameSince(_) => same,
        };
        let place = format!("{}:{}: {}", table.name, line.number, line.command);
        if same && line.expected == Expected::Different {
            println!("{place}\nboth say the same by now: the line needs no explanation");
        }
        if right {
            let count = if same { &mut self.same } else { &mut self.explained };
            *count += 1;
            return true;
        }
        self.wrong += 1;
        println!("\n-- {place}\n{differences}");
        false
    }

    /// Tells the totals; whether all lines were as they should be.
    pub(crate) fn end(&self) -> bool {
        let Self { same, explained, wrong } = self;
        println!("side by side: {same} lines the same, {explained} differ as explained, {wrong} differ");
        *wrong == 0
    }
}

fn differences(want: &Outcome, got: &Outcome) -> String {
    let mut text = String::new();
    if want.code != got.code {
        text.push_str(&format!("exit code {:?}, but kubectl-rs {:?}\n", want.code, got.code));
    }
    for (name, want, got) in
        [("standard output", &want.stdout, &got.stdout), ("standard error", &want.stderr, &got.stderr)]
    {
        let (want, got) = (normal(want), normal(got));
        if want != got {
            let diff = TextDiff::from_lines(&want, &got);
            text.push_str(&diff.unified_diff().context_radius(2).header(name, "kubectl-rs").to_string());
        }
    }
    text
}

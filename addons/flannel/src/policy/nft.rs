//! The table in the kernel. What was written last is kept in memory, so that only differences are.

use super::ruleset::{BASE, Ruleset, TABLE, protocol};
use crate::config::Family;
use component::program::{ProgramError, run};

/// The table of one family.
#[derive(Debug)]
pub struct Filter {
    family: Family,
    applied: Option<Applied>,
}

#[derive(Debug)]
struct Applied {
    ruleset: Ruleset,
    /// The chain that packets enter by, as nft showed it afterwards.
    base: String,
}

impl Filter {
    /// Nothing is known of the kernel's table yet.
    pub fn new(family: Family) -> Self {
        Self { family, applied: None }
    }

    /// Its family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Makes the kernel's table `wanted` in one transaction. How many commands that took.
    pub async fn apply(&mut self, wanted: Ruleset) -> Result<usize, ProgramError> {
        let commands = match &self.applied {
            Some(applied) => applied.ruleset.turn_into(&wanted, self.family),
            None => wanted.write(self.family),
        };
        if !commands.is_empty() {
            let before = self.applied.take();
            run("nft", &["-f", "-"], &(commands.join("\n") + "\n")).await?;
            let base = match before {
                Some(before) => before.base,
                None => self.base().await?,
            };
            self.applied = Some(Applied { ruleset: wanted, base });
        }
        Ok(commands.len())
    }

    /// Whether the table still begins as it was written.
    pub async fn is_there(&self) -> bool {
        match (&self.applied, self.base().await) {
            (Some(applied), Ok(base)) => applied.base == base,
            (None, _) => true,
            (Some(_), Err(_)) => false,
        }
    }

    /// Writes everything the next time.
    pub fn forget(&mut self) {
        self.applied = None;
    }

    /// Removes the table.
    pub async fn remove(&mut self) -> Result<(), ProgramError> {
        self.applied = None;
        run("nft", &["delete", "table", protocol(self.family), TABLE], "").await.map(drop)
    }

    async fn base(&self) -> Result<String, ProgramError> {
        run("nft", &["list", "chain", protocol(self.family), TABLE, BASE], "").await
    }
}

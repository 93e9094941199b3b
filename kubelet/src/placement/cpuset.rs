//! Sets of processors, written as the kernel writes them: `0-3,8`.
//!
//! Upstream: `k8s.io/utils/cpuset`.

use std::collections::BTreeSet;
use std::fmt;

/// No machine has more processors.
const MOST: usize = 1 << 16;

/// Numbers of processors, or of what they are grouped in.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CpuSet(BTreeSet<usize>);

/// A text that is no set; worded as upstream does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuSetError {
    #[error("strconv.Atoi: parsing {0:?}: invalid syntax")]
    Number(String),
    #[error("invalid range {text:?} ({from} > {to})")]
    Range { text: String, from: usize, to: usize },
    #[error("processor {0} is beyond the highest number that is known, {most}", most = MOST - 1)]
    TooHigh(usize),
}

impl CpuSet {
    /// Reads `0-3,8`; the empty text is the empty set.
    ///
    /// # Errors
    /// It is no such text.
    pub fn parse(text: &str) -> Result<Self, CpuSetError> {
        let mut out = BTreeSet::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let (from, to) = match part.split_once('-') {
                Some((from, to)) => (number(from)?, number(to)?),
                None => (number(part)?, number(part)?),
            };
            if from > to {
                return Err(CpuSetError::Range { text: part.to_owned(), from, to });
            }
            out.extend(from..=to);
        }
        Ok(Self(out))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, cpu: usize) -> bool {
        self.0.contains(&cpu)
    }

    /// In ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().copied()
    }

    pub fn union(&self, other: &Self) -> Self {
        Self(&self.0 | &other.0)
    }

    pub fn difference(&self, other: &Self) -> Self {
        Self(&self.0 - &other.0)
    }

    pub fn intersection(&self, other: &Self) -> Self {
        Self(&self.0 & &other.0)
    }

    /// Whether all of these are in the other set.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }
}

impl FromIterator<usize> for CpuSet {
    fn from_iter<I: IntoIterator<Item = usize>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = self.iter().peekable();
        let mut between = "";
        while let Some(from) = all.next() {
            let mut to = from;
            while let Some(next) = all.next_if_eq(&(to + 1)) {
                to = next;
            }
            if from == to {
                write!(f, "{between}{from}")?
            } else {
                write!(f, "{between}{from}-{to}")?
            }
            between = ",";
        }
        Ok(())
    }
}

fn number(text: &str) -> Result<usize, CpuSetError> {
    let number = text.parse::<usize>().map_err(|_| CpuSetError::Number(text.to_owned()))?;
    if number < MOST { Ok(number) } else { Err(CpuSetError::TooHigh(number)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_read_and_written() {
        for (text, want) in
            [("", ""), ("3", "3"), ("0-3,8", "0-3,8"), ("1,0,2", "0-2"), ("0,1", "0-1"), ("5-5,7", "5,7")]
        {
            assert_eq!(CpuSet::parse(text).unwrap().to_string(), want, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for (text, want) in [
            ("x", "strconv.Atoi: parsing \"x\": invalid syntax"),
            ("0,", "strconv.Atoi: parsing \"\": invalid syntax"),
            ("3-1", "invalid range \"3-1\" (3 > 1)"),
            ("0-99999999", "processor 99999999 is beyond the highest number that is known, 65535"),
        ] {
            assert_eq!(CpuSet::parse(text).unwrap_err().to_string(), want);
        }
    }
}

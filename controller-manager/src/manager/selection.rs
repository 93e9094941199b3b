//! `--controllers`: `*` for all that are on by default, `foo` for one, `-foo` for all but one.
//! The first entry that names a controller decides.
//!
//! Upstream: `k8s.io/controller-manager/pkg/features`, `IsControllerEnabled`.

/// Whether a controller runs if nothing but `*` speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// It runs.
    On,
    /// It must be named.
    Off,
}

/// The parsed list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    All,
    With(String),
    Without(String),
}

/// A name that no controller has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not in the list of known controllers")]
pub struct UnknownController {
    /// The name.
    pub name: String,
}

impl Selection {
    /// Parses entries; `canonical` gives the name behind a name or an alias. No entries mean `*`.
    pub fn parse(
        entries: &[String],
        canonical: impl Fn(&str) -> Option<&'static str>,
    ) -> Result<Self, UnknownController> {
        let known =
            |name: &str| canonical(name).map(str::to_owned).ok_or_else(|| UnknownController { name: name.to_owned() });
        let parse = |entry: &String| match (entry.as_str(), entry.strip_prefix('-')) {
            ("*", _) => Ok(Entry::All),
            (_, Some(name)) => known(name).map(Entry::Without),
            (name, None) => known(name).map(Entry::With),
        };
        let mut entries = entries.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        if entries.is_empty() {
            entries.push(Entry::All);
        }
        Ok(Self { entries })
    }

    /// Whether the controller of this name runs.
    pub fn enables(&self, name: &str, default: Default) -> bool {
        self.says(name).unwrap_or_else(|| default == Default::On && self.entries.contains(&Entry::All))
    }

    /// Whether the controller was asked for by its name.
    pub fn names(&self, name: &str) -> bool {
        self.says(name) == Some(true)
    }

    fn says(&self, name: &str) -> Option<bool> {
        self.entries.iter().find_map(|entry| match entry {
            Entry::With(with) if with == name => Some(true),
            Entry::Without(without) if without == name => Some(false),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(name: &str) -> Option<&'static str> {
        match name {
            "a-controller" | "a" => Some("a-controller"),
            "b-controller" => Some("b-controller"),
            _ => None,
        }
    }

    fn parse(entries: &[&str]) -> Result<Selection, UnknownController> {
        Selection::parse(&entries.iter().map(ToString::to_string).collect::<Vec<_>>(), canonical)
    }

    #[test]
    fn the_first_entry_that_names_it_decides() {
        let table: [(&[&str], bool, bool); 7] = [
            (&[], true, false),
            (&["*"], true, false),
            (&["*", "-a"], false, false),
            (&["*", "b-controller"], true, true),
            (&["b-controller"], false, true),
            (&["a", "-a-controller"], true, false),
            (&["-a-controller", "a", "*"], false, false),
        ];
        for (entries, a, b) in table {
            let selection = parse(entries).unwrap();
            assert_eq!(selection.enables("a-controller", Default::On), a, "{entries:?}");
            assert_eq!(selection.enables("b-controller", Default::Off), b, "{entries:?}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused() {
        let error = parse(&["*", "-nonesuch"]).unwrap_err();
        assert_eq!(error.to_string(), "\"nonesuch\" is not in the list of known controllers");
    }
}

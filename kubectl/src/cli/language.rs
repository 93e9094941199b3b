//! What commands do, said in the language of whoever asks for help; what no table has stays English.
//!
//! Upstream: `kubectl/pkg/util/i18n`.

/// Languages with what their tables say, a command a line: `PATH: what it does`, without the full stop.
const TABLES: [(&str, &str); 8] = [
    ("de_DE", include_str!("languages/de_DE.txt")),
    ("fr_FR", include_str!("languages/fr_FR.txt")),
    ("it_IT", include_str!("languages/it_IT.txt")),
    ("ja_JP", include_str!("languages/ja_JP.txt")),
    ("ko_KR", include_str!("languages/ko_KR.txt")),
    ("pt_BR", include_str!("languages/pt_BR.txt")),
    ("zh_CN", include_str!("languages/zh_CN.txt")),
    ("zh_TW", include_str!("languages/zh_TW.txt")),
];

/// A language other than English.
#[derive(Clone, Copy, Debug)]
pub(super) struct Language {
    name: &'static str,
    table: &'static str,
}

impl Language {
    /// The language that the environment asks for; nothing for English and for languages without a table.
    pub(super) fn of_environment() -> Option<Self> {
        wanted(|name| std::env::var(name).ok()).and_then(|locale| Self::of(&locale))
    }

    /// The language of a locale such as `de_DE.UTF-8`; upstream takes none without its encoding.
    pub(super) fn of(locale: &str) -> Option<Self> {
        let (language, encoding) = locale.split_once('.')?;
        let &(name, table) = TABLES.iter().find(|(name, _)| *name == language && !encoding.contains('.'))?;
        Some(Self { name, table })
    }

    /// What a command does, named by the words that lead to it without the program's.
    pub(super) fn about(self, path: &str) -> Option<&'static str> {
        lines(self.table).find(|(command, _)| *command == path).map(|(_, about)| about)
    }

    /// What ends a sentence.
    pub(super) fn full_stop(self) -> char {
        if ["ja_JP", "zh_CN", "zh_TW"].contains(&self.name) { '。' } else { '.' }
    }
}

/// The first locale that is set, in gettext's order.
fn wanted(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().filter_map(variable).find(|value| !value.is_empty())
}

fn lines(table: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    table.lines().filter_map(|line| line.split_once(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_decides() {
        for (set, want) in [
            (&[("LANG", "de_DE.UTF-8")][..], Some("de_DE")),
            (&[("LANG", "de_DE.UTF-8"), ("LC_MESSAGES", "fr_FR.UTF8")], Some("fr_FR")),
            (&[("LANG", "de_DE.UTF-8"), ("LC_ALL", ""), ("LC_MESSAGES", "")], Some("de_DE")),
            (&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "C")], None),
            (&[("LANG", "de_DE")], None),
            (&[("LANG", "de_DE.a.b")], None),
            (&[("LANG", "de_AT.UTF-8")], None),
            (&[], None),
        ] {
            let variable = |name: &str| set.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned());
            let language = wanted(variable).and_then(|locale| Language::of(&locale));
            assert_eq!(language.map(|language| language.name), want, "{set:?}");
        }
    }

    #[test]
    fn tables_speak_of_commands_that_exist_and_of_each_once() {
        let root = crate::cli::command();
        for (name, table) in TABLES {
            let mut seen = std::collections::HashSet::new();
            assert_eq!(lines(table).count(), table.lines().count(), "{name}");
            for (path, about) in lines(table) {
                let found = path.split(' ').try_fold(&root, |command, word| command.find_subcommand(word));
                assert!(found.is_some() && seen.insert(path), "{name}: {path}");
                assert!(!about.is_empty() && !about.ends_with(['.', '。']), "{name}: {about}");
            }
        }
    }
}

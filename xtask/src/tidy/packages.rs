//! What is depended on: licences, sources and bans, by the rules of `deny.toml`.

use super::Finding;
use anyhow::{Context, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Where packages may come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// A package that the workspace is built from, as cargo tells of it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Package {
    name: String,
    version: String,
    license: Option<String>,
    /// None: a crate of this repository.
    source: Option<String>,
}

/// Every package that is built for Linux.
pub(super) fn all(root: &Path) -> anyhow::Result<Vec<Package>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform", &platform])
        .current_dir(root)
        .output()
        .context("running cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("reading cargo metadata")?;
    Ok(metadata.packages)
}

/// Finds packages that the rules forbid.
pub(super) fn check(packages: &[Package], rules: &str) -> Vec<Finding> {
    let rules = Rules::parse(rules);
    let mut findings = Vec::new();
    for package in packages.iter().filter(|p| p.source.is_some()) {
        if let Some(source) = package.source.as_deref().filter(|s| *s != REGISTRY) {
            findings.push(finding(package, format!("comes from {source}")));
        }
        let license = package.license.as_deref().unwrap_or_default();
        if !licence::satisfies(license, |name| rules.allows(&package.name, name)) {
            findings.push(finding(package, format!("has the licence {license:?}, which deny.toml does not allow")));
        }
        if rules.banned.contains(&package.name) {
            findings.push(finding(package, "is banned by deny.toml".to_owned()));
        }
    }
    findings.extend(rules.single.iter().filter_map(|name| twice(packages, name)));
    findings
}

fn finding(package: &Package, what: String) -> Finding {
    Finding { file: "Cargo.lock".to_owned(), what: format!("{} {} {what}", package.name, package.version) }
}

fn twice(packages: &[Package], name: &str) -> Option<Finding> {
    let versions: Vec<&str> = packages.iter().filter(|p| p.name == name).map(|p| p.version.as_str()).collect();
    (versions.len() > 1).then(|| Finding {
        file: "Cargo.lock".to_owned(),
        what: format!("has {name} in the versions {}; deny.toml wants one", versions.join(", ")),
    })
}

/// The part of `deny.toml` that is checked here. The file is written with one value a line.
#[derive(Debug, Default)]
struct Rules {
    licences: Vec<String>,
    /// Licences that single packages may have besides.
    exceptions: BTreeMap<String, Vec<String>>,
    banned: Vec<String>,
    /// Packages of which there may be one version.
    single: Vec<String>,
}

impl Rules {
    fn parse(text: &str) -> Self {
        let mut rules = Self::default();
        let mut list = "";
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            if let Some(key) = line.strip_suffix("= [") {
                list = key.trim();
            } else if line == "]" {
                list = "";
            } else {
                rules.take(list, line);
            }
        }
        rules
    }

    fn take(&mut self, list: &str, line: &str) {
        let mut values = line.split('"').skip(1).step_by(2).map(str::to_owned);
        let Some(first) = values.next() else { return };
        match list {
            "allow" => self.licences.push(first),
            "exceptions" => drop(self.exceptions.insert(first, values.collect())),
            "deny" if line.contains("deny-multiple-versions = true") => self.single.push(first),
            "deny" => self.banned.push(first),
            _ => {}
        }
    }

    fn allows(&self, package: &str, licence: &str) -> bool {
        let exceptions = self.exceptions.get(package).map(Vec::as_slice).unwrap_or_default();
        self.licences.iter().chain(exceptions).any(|l| l == licence)
    }
}

/// SPDX licence expressions.
mod licence {
    /// Whether what is allowed is enough for this expression. An expression that cannot be read is
    /// not satisfied.
    pub(super) fn satisfies(expression: &str, allowed: impl Fn(&str) -> bool) -> bool {
        // Older manifests separate alternatives by a slash.
        let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let mut parser = Parser { words: &words, allowed: &allowed };
        parser.any().is_some_and(|enough| enough && parser.words.is_empty())
    }

    struct Parser<'a> {
        words: &'a [&'a str],
        allowed: &'a dyn Fn(&str) -> bool,
    }

    impl Parser<'_> {
        /// Terms between `OR`.
        fn any(&mut self) -> Option<bool> {
            let mut enough = self.every()?;
            while self.skip("OR") {
                enough |= self.every()?;
            }
            Some(enough)
        }

        /// Terms between `AND`.
        fn every(&mut self) -> Option<bool> {
            let mut enough = self.one()?;
            while self.skip("AND") {
                enough &= self.one()?;
            }
            Some(enough)
        }

        fn one(&mut self) -> Option<bool> {
            if self.skip("(") {
                let enough = self.any()?;
                return self.skip(")").then_some(enough);
            }
            let (name, rest) = self.words.split_first()?;
            self.words = rest;
            // "or any later version": the one that is named is enough.
            let name = name.trim_end_matches('+');
            if self.skip("WITH") {
                let (exception, rest) = self.words.split_first()?;
                self.words = rest;
                return Some((self.allowed)(&format!("{name} WITH {exception}")));
            }
            Some((self.allowed)(name))
        }

        fn skip(&mut self, word: &str) -> bool {
            let is_next = self.words.first() == Some(&word);
            if is_next {
                self.words = &self.words[1..];
            }
            is_next
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "[licenses]\nallow = [\n    \"MIT\",\n    \"ISC\",\n    \"Apache-2.0 WITH LLVM-exception\",\n]\n\
                         exceptions = [\n    { crate = \"odd\", allow = [\"MPL-2.0\"] },\n]\n[bans]\ndeny = [\n    # Why.\n    \
                         { crate = \"bad\" },\n    { crate = \"one\", deny-multiple-versions = true },\n]\n";

    #[test]
    fn expressions() {
        let allowed = |name: &str| matches!(name, "MIT" | "ISC" | "Apache-2.0 WITH LLVM-exception");
        for (expression, want) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("MIT OR GPL-3.0", true),
            ("GPL-3.0/MIT", true),
            ("MIT AND GPL-3.0", false),
            ("ISC AND (GPL-3.0 OR MIT)", true),
            ("(MIT OR GPL-3.0) AND LGPL-2.1", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0 WITH Other", false),
            ("MIT+", true),
            ("", false),
            ("(MIT", false),
            ("MIT ISC", false),
        ] {
            assert_eq!(licence::satisfies(expression, allowed), want, "{expression}");
        }
    }

    #[test]
    fn what_the_rules_forbid_is_found() {
        let package = |name: &str, version: &str, license: &str, source: Option<&str>| Package {
            name: name.into(),
            version: version.into(),
            license: Some(license.into()),
            source: source.map(Into::into),
        };
        let packages = [
            package("ours", "1.0.0", "none", None),
            package("good", "1.0.0", "MIT", Some(REGISTRY)),
            package("odd", "1.0.0", "MPL-2.0+", Some(REGISTRY)),
            package("other", "1.0.0", "MPL-2.0", Some(REGISTRY)),
            package("bad", "1.0.0", "MIT", Some(REGISTRY)),
            package("one", "1.0.0", "MIT", Some(REGISTRY)),
            package("one", "2.0.0", "MIT", Some(REGISTRY)),
            package("far", "1.0.0", "MIT", Some("git+https://example.com/far")),
        ];
        let found: Vec<String> = check(&packages, RULES).into_iter().map(|f| f.what).collect();
        assert_eq!(
            found,
            [
                "other 1.0.0 has the licence \"MPL-2.0\", which deny.toml does not allow",
                "bad 1.0.0 is banned by deny.toml",
                "far 1.0.0 comes from git+https://example.com/far",
                "has one in the versions 1.0.0, 2.0.0; deny.toml wants one",
            ]
        );
    }
}

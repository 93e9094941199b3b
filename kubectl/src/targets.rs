//! Words on the command line as requests: `pods`, `po,svc`, `pod web`, `pod/web svc/web`, `all`.
//!
//! Upstream: `cli-runtime/pkg/resource/builder.go`.

use crate::discovery::{Discovery, Resource};

/// Objects that the words name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Their resource.
    pub resource: Resource,
    /// One object, or all if none.
    pub name: Option<String>,
    /// The namespace, where it is not that of the command line.
    pub namespace: Option<String>,
}

/// Words that make no sense; kubectl's messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Nothing at all.
    #[error(
        "You must specify the type of resource to {0}. Use \"kubectl api-resources\" for a complete list of supported resources."
    )]
    Nothing(&'static str),
    /// A type that the server does not have.
    #[error("the server doesn't have a resource type \"{name}\"")]
    NoSuchType {
        /// The type.
        name: String,
        /// Types with names like it.
        near: Vec<String>,
    },
    /// `a/b` among other words.
    #[error(
        "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. '{program} get resource/<resource_name>' instead of '{program} get resource resource/<resource_name>'",
        program = program()
    )]
    Mixed,
    /// `a/b/c`.
    #[error("arguments in resource/name form may not have more than one slash")]
    Slashes,
    /// `a/`, `/b`, `a,b/c`.
    #[error("arguments in resource/name form must have a single resource and name")]
    Halves,
    /// `all x`: a name that would be one of several types.
    #[error("you must specify only one resource")]
    Several,
}

/// What the program was called as.
fn program() -> String {
    let word = std::env::args().next().unwrap_or_default();
    word.rsplit('/').next().unwrap_or_default().to_owned()
}

/// The words as they are typed, before anybody knows which types there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    /// `pod/web svc/web`, `pod,svc web`.
    Pairs(Vec<(String, String)>),
    /// `pods`, `po,svc`, `pod web`.
    Types {
        /// The types.
        types: Vec<String>,
        /// Names of the one type.
        names: Vec<String>,
    },
}

impl Words {
    /// Reads the words behind a verb.
    pub fn read(verb: &'static str, words: &[String]) -> Result<Self, TargetError> {
        let Some((first, names)) = words.split_first() else { return Err(TargetError::Nothing(verb)) };
        let types = types_of(first);
        if types.len() > 1 && !names.is_empty() {
            let pairs = types.iter().flat_map(|kind| names.iter().map(move |name| format!("{kind}/{name}")));
            return pairs.map(|word| pair(&word)).collect::<Result<_, _>>().map(Self::Pairs);
        }
        if words.iter().any(|word| word.contains('/')) {
            if !words.iter().all(|word| word.contains('/')) {
                return Err(TargetError::Mixed);
            }
            return words.iter().map(|word| pair(word)).collect::<Result<_, _>>().map(Self::Pairs);
        }
        Ok(Self::Types { types, names: names.to_vec() })
    }
}

/// The types of a list, each once.
fn types_of(list: &str) -> Vec<String> {
    let mut types: Vec<String> = Vec::new();
    for word in list.split(',') {
        if !types.iter().any(|known| known == word) {
            types.push(word.to_owned());
        }
    }
    types
}

fn pair(word: &str) -> Result<(String, String), TargetError> {
    match word.split('/').collect::<Vec<_>>().as_slice() {
        [kind, name] if kind.is_empty() || name.is_empty() || types_of(kind).len() != 1 => Err(TargetError::Halves),
        [kind, name] => Ok(((*kind).to_owned(), (*name).to_owned())),
        _ => Err(TargetError::Slashes),
    }
}

/// Reads the words behind a verb and finds what they name.
pub fn parse(discovery: &Discovery, verb: &'static str, words: &[String]) -> Result<Vec<Target>, TargetError> {
    let (types, names) = match Words::read(verb, words)? {
        Words::Pairs(pairs) => {
            let found = pairs.into_iter().map(|(kind, name)| {
                let resource = find(discovery, &kind).ok_or_else(|| no_such(discovery, &kind))?;
                Ok(Target { resource: resource.clone(), name: Some(name), namespace: None })
            });
            return found.collect();
        }
        Words::Types { types, names } => (found(discovery, &types, !names.is_empty())?, names),
    };
    let mut targets = Vec::new();
    for resource in types {
        match names.is_empty() {
            true => targets.push(Target { resource: resource.clone(), name: None, namespace: None }),
            false => targets.extend(names.iter().map(|name| Target {
                resource: resource.clone(),
                name: Some(name.clone()),
                namespace: None,
            })),
        }
    }
    Ok(targets)
}

/// Upstream names a type that is not there without its group.
fn no_such(discovery: &Discovery, word: &str) -> TargetError {
    let name = word.split('.').next().unwrap_or_default().to_owned();
    let near = discovery.nearest(&name).into_iter().map(str::to_owned).collect();
    TargetError::NoSuchType { name, near }
}

/// Finds a resource; warns of others that a short name could mean.
fn find<'a>(discovery: &'a Discovery, word: &str) -> Option<&'a Resource> {
    for other in discovery.also_meant(word) {
        crate::http::warn(&format!("short name {word:?} could also match lower priority resource {other}"));
    }
    discovery.find(word)
}

fn found<'a>(discovery: &'a Discovery, types: &[String], named: bool) -> Result<Vec<&'a Resource>, TargetError> {
    let mut found = Vec::new();
    for word in types {
        let category = discovery.category(word);
        match find(discovery, word) {
            Some(resource) => found.push(resource),
            None if !category.is_empty() && named => return Err(TargetError::Several),
            None if !category.is_empty() => found.extend(category),
            None => return Err(no_such(discovery, word)),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::sample;

    fn parsed(line: &str) -> Result<Vec<String>, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let targets = parse(&sample(), "get", &words).map_err(|e| e.to_string())?;
        Ok(targets.into_iter().map(|t| format!("{}/{}", t.resource.plural, t.name.unwrap_or_default())).collect())
    }

    #[test]
    fn reads_words() {
        let ok = |list: &[&str]| Ok(list.iter().map(|s| (*s).to_owned()).collect());
        assert_eq!(parsed("po"), ok(&["pods/"]));
        assert_eq!(parsed("po,no"), ok(&["pods/", "nodes/"]));
        assert_eq!(parsed("po a b"), ok(&["pods/a", "pods/b"]));
        assert_eq!(parsed("po/a deploy/b"), ok(&["pods/a", "deployments/b"]));
        assert!(parsed("all").is_ok_and(|all| all.len() > 2));
        assert_eq!(parsed("x"), Err("the server doesn't have a resource type \"x\"".into()));
        assert_eq!(parsed("po.x.io"), Err("the server doesn't have a resource type \"po\"".into()));
        assert_eq!(parsed("po,no a b"), ok(&["pods/a", "pods/b", "nodes/a", "nodes/b"]));
        assert_eq!(parsed("po,po"), ok(&["pods/"]));
        assert!(parsed("").is_err());
    }

    #[test]
    fn words_that_make_no_sense_are_refused_unseen() {
        for (line, want) in [
            ("po a/b", TargetError::Mixed),
            ("a/b c", TargetError::Mixed),
            ("a/b/c", TargetError::Slashes),
            ("po/", TargetError::Halves),
            ("/a", TargetError::Halves),
            ("po,no/a", TargetError::Halves),
            ("po, a", TargetError::Halves),
            ("po,no a/b", TargetError::Slashes),
        ] {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(Words::read("get", &words), Err(want), "{line}");
        }
        assert_eq!(parsed("all x"), Err("you must specify only one resource".into()));
        assert_eq!(parsed("po,"), Err("the server doesn't have a resource type \"\"".into()));
    }
}

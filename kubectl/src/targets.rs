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
    #[error("the server doesn't have a resource type \"{0}\"")]
    NoSuchType(String),
    /// `a/b` among other words.
    #[error(
        "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. '{program} get resource/<resource_name>' instead of '{program} get resource resource/<resource_name>'",
        program = program()
    )]
    Mixed,
    /// `a/b/c`.
    #[error("arguments in resource/name form may not have more than one slash")]
    Slashes,
}

/// What the program was called as.
fn program() -> String {
    let word = std::env::args().next().unwrap_or_default();
    word.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Reads the words behind a verb.
pub fn parse(discovery: &Discovery, verb: &'static str, words: &[String]) -> Result<Vec<Target>, TargetError> {
    let Some((first, names)) = words.split_first() else { return Err(TargetError::Nothing(verb)) };
    if words.iter().any(|w| w.contains('/')) {
        return words.iter().map(|word| pair(discovery, word)).collect();
    }
    let mut targets = Vec::new();
    for resource in types(discovery, first)? {
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

fn pair(discovery: &Discovery, word: &str) -> Result<Target, TargetError> {
    match word.split('/').collect::<Vec<_>>().as_slice() {
        [_] => Err(TargetError::Mixed),
        [kind, name] => {
            let resource = find(discovery, kind).ok_or_else(|| no_such(kind))?;
            Ok(Target { resource: resource.clone(), name: Some((*name).into()), namespace: None })
        }
        _ => Err(TargetError::Slashes),
    }
}

/// Upstream names a type that is not there without its group.
fn no_such(word: &str) -> TargetError {
    TargetError::NoSuchType(word.split('.').next().unwrap_or_default().into())
}

/// Finds a resource; warns of others that a short name could mean.
fn find<'a>(discovery: &'a Discovery, word: &str) -> Option<&'a Resource> {
    for other in discovery.also_meant(word) {
        crate::http::warn(&format!("short name {word:?} could also match lower priority resource {other}"));
    }
    discovery.find(word)
}

fn types<'a>(discovery: &'a Discovery, list: &str) -> Result<Vec<&'a Resource>, TargetError> {
    let mut found = Vec::new();
    for word in list.split(',').filter(|w| !w.is_empty()) {
        let category = discovery.category(word);
        match find(discovery, word) {
            Some(resource) => found.push(resource),
            None if !category.is_empty() => found.extend(category),
            None => return Err(no_such(word)),
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
        assert!(parsed("po a/b").is_err() && parsed("a/b/c").is_err() && parsed("").is_err());
    }
}

//! `explain`.
//!
//! Upstream: `kubectl/pkg/cmd/explain`.

use super::Session;
use crate::cli::explain::Explain;
use crate::discovery::{Asks, Discovery, Resource};
use crate::explain::{Subject, older, plain};
use crate::generate::GenerateError;
use crate::print::jsonpath::JsonPath;
use anyhow::bail;
use apimachinery::Value;

pub(super) async fn run(session: &Session, flags: &Explain) -> anyhow::Result<()> {
    let word = match flags.words.as_slice() {
        [] => bail!(
            "You must specify the type of resource to explain. Use \"kubectl api-resources\" for a complete list of supported resources.\n"
        ),
        [word] => word,
        _ => bail!("We accept only this format: explain RESOURCE\n"),
    };
    let is_path = check_fields(word)?;
    let (resource, fields) = find(session, word, flags.api_version.is_empty()).await?;
    if !is_path {
        bail!(match flags.api_version.is_empty() {
            true => NO_FIELD,
            false => "invalid jsonpath syntax, all nodes must be field nodes",
        });
    }
    let (mut group, mut version) = (resource.group.as_str(), resource.version.as_str());
    if flags.api_version.matches('/').count() > 1 {
        bail!("unexpected GroupVersion string: {}", flags.api_version);
    }
    if !flags.api_version.is_empty() {
        (group, version) = flags.api_version.split_once('/').unwrap_or(("", &flags.api_version));
    }
    let subject = Subject {
        group,
        version,
        plural: &resource.plural,
        kind: &resource.kind,
        fields: &fields,
        recursive: flags.recursive,
    };
    let mut out = String::new();
    let explained = match flags.output.as_str() {
        "plaintext" => match session.client.get("/openapi/v3", "application/json").await {
            Ok(paths) => plain::explain(&mut out, &document(session, &paths, &subject).await?, &subject),
            // A server that is too old for it.
            Err(_) => older::explain(&mut out, &old_document(session).await?, &subject),
        },
        "plaintext-openapiv2" => older::explain(&mut out, &old_document(session).await?, &subject),
        other => bail!("unrecognized format: {other}"),
    };
    crate::out!("{out}");
    Ok(explained?)
}

const NO_FIELD: &str = "invalid jsonpath syntax, first node must be field node";

/// Whether a type and what is behind it are names with dots in between; if not even the type is one, what is said.
fn check_fields(word: &str) -> anyhow::Result<bool> {
    let word = word.strip_suffix('.').unwrap_or(word);
    if word.is_empty() {
        bail!("a resource must be present, got: /, Resource=");
    }
    let path = JsonPath::parse(&format!("{{.{word}}}"), true)?;
    match path.fields().split_first() {
        Some((Some(_), behind)) => Ok(behind.iter().all(Option::is_some)),
        _ => bail!(NO_FIELD),
    }
}

async fn document(session: &Session, paths: &Value, subject: &Subject<'_>) -> anyhow::Result<Value> {
    let Subject { group, version, plural, .. } = subject;
    let path = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
    match paths["paths"][&path]["serverRelativeURL"].as_str() {
        Some(url) => session.client.get(session.client.below(url), "application/json").await,
        None => bail!("couldn't find resource for \"{group}/{version}, Resource={plural}\""),
    }
}

async fn old_document(session: &Session) -> anyhow::Result<Value> {
    session.client.get("/openapi/v2", "application/json").await
}

/// The resource at the beginning of `deployments.apps.spec.replicas`, and the fields behind it.
async fn find(session: &Session, word: &str, with_group: bool) -> anyhow::Result<(Resource, Vec<String>)> {
    let known = Discovery::load(&session.client, Asks::TYPE).await?;
    if let Some(found) = split(&known, word, with_group) {
        return Ok(found);
    }
    let discovery = session.discovery(Asks::TYPE).await?;
    match split(&discovery, word, with_group) {
        Some(found) => Ok(found),
        None => {
            let name = word.split('.').next().unwrap_or_default();
            Err(GenerateError::NoSuchType(name.to_owned(), String::new()).into())
        }
    }
}

fn split(discovery: &Discovery, word: &str, with_group: bool) -> Option<(Resource, Vec<String>)> {
    let word = word.strip_suffix('.').unwrap_or(word);
    let name = word.split('.').next().unwrap_or_default();
    // Each name has a dot in front of it.
    let fields = |behind: &str| -> Vec<String> { behind.split('.').skip(1).map(str::to_owned).collect() };
    let lower = name.to_ascii_lowercase();
    let named = |r: &&Resource| {
        r.plural == lower || r.singular == lower || r.kind.eq_ignore_ascii_case(name) || r.short_names.contains(&lower)
    };
    if with_group {
        let all = discovery.resources.iter().filter(named);
        let whole =
            |r: &&Resource| word.strip_prefix(&r.group_resource()).is_some_and(|r| r.is_empty() || r.starts_with('.'));
        if let Some(resource) = all.filter(whole).max_by_key(|r| r.group.len()) {
            let behind = &word[resource.group_resource().len()..];
            return Some((resource.clone(), fields(behind)));
        }
    }
    discovery.find(name).map(|resource| (resource.clone(), fields(&word[name.len()..])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::sample;

    #[test]
    fn splits_types_from_fields() {
        for (word, group, want, fields) in [
            ("po.spec.containers", true, "pods", "spec containers"),
            ("deployments.apps.spec", true, "deployments.apps", "spec"),
            ("deployments.spec", true, "deployments.apps", "spec"),
            ("events.events.k8s.io.note", true, "events.events.k8s.io", "note"),
            ("events.note", true, "events", "note"),
            ("Pod", true, "pods", ""),
        ] {
            let (resource, found) = split(&sample(), word, group).expect(word);
            assert_eq!((resource.group_resource(), found.join(" ")), (want.to_owned(), fields.to_owned()), "{word}");
        }
        assert!(split(&sample(), "nonsense.x", true).is_none());
    }

    #[test]
    fn fields_are_names() {
        let told = |word: &str| check_fields(word).map_err(|error| error.to_string());
        for (word, want) in [
            ("pod.spec", Ok(true)),
            ("pod.", Ok(true)),
            ("nope..x", Ok(false)),
            (".pod", Err("invalid jsonpath syntax, first node must be field node")),
            ("pod.spec[0]", Ok(false)),
            ("pods,svc", Err("unrecognized character in action: U+002C ','")),
            ("", Err("a resource must be present, got: /, Resource=")),
        ] {
            assert_eq!(told(word), want.map_err(str::to_owned), "{word}");
        }
    }
}

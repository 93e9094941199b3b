//! `debug`: a container beside those of a pod, in a copy of it, or on a node.
//!
//! [`plan`] makes the objects, [`profile`] gives the container its rights; both ask nobody.
//!
//! Upstream: `kubectl/pkg/cmd/debug`.

mod attach;
mod plan;
mod profile;

use super::Session;
use crate::cli::Files;
use crate::cli::debug::Debug;
use crate::discovery::Asks;
use crate::files;
use crate::http::Refused;
use crate::selected::{had, named};
use crate::targets;
use crate::{pods, writing};
use anyhow::{Context, bail};
use apimachinery::Value;
use apimachinery::codec::yaml;
use apimachinery::meta::ObjectMeta;
use http::Method;
use plan::Wanted;
use profile::Profile;
use serde_json::json;

pub(super) async fn run(session: &Session, flags: &Debug) -> anyhow::Result<()> {
    let profile = Profile::parse(&flags.profile)?;
    let custom = custom(&flags.custom)?;
    check(flags, custom.as_ref())?;
    if profile == Profile::Legacy {
        eprintln!(
            "--profile=legacy is deprecated and planned to be removed in v1.39. It is recommended to specify other profile, for example \"--profile=general\"."
        );
    }
    let wanted = Wanted { flags, profile, custom, images: pairs(&flags.set_image)?, env: pairs(&flags.env)? };
    for mut target in targets(session, flags).await? {
        // What is neither is taken for nothing.
        for part in ["metadata", "spec"] {
            if !target[part].is_object() {
                target[part] = json!({});
            }
        }
        let (pod, container) = match target["kind"].as_str().unwrap_or_default() {
            "Node" => on_node(session, &wanted, &target).await?,
            "Pod" if flags.copy_to.is_empty() => in_pod(session, &wanted, &target).await?,
            "Pod" => in_copy(session, &wanted, &target).await?,
            _ => return Err(not_supported(&target)),
        };
        if flags.attach.unwrap_or(flags.stdin) && !container.is_empty() {
            attach::attach(session, flags, &pod, &container).await?;
        }
    }
    Ok(())
}

fn not_supported(object: &Value) -> anyhow::Error {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    anyhow::anyhow!("{:?} not supported by debug", format!("{group}/{version}, Kind={}", text("kind")))
}

fn check(flags: &Debug, custom: Option<&Value>) -> anyhow::Result<()> {
    let (image, copy) = (!flags.image.is_empty(), !flags.copy_to.is_empty());
    if flags.attach == Some(true) && !image && flags.container.is_empty() {
        bail!("you must specify --container or create a new container using --image in order to attach.");
    }
    if copy && !image && flags.set_image.is_empty() && flags.command.is_empty() {
        bail!("you must specify --image, --set-image or command arguments.");
    }
    if copy && !flags.command.is_empty() && flags.container.is_empty() && !image {
        bail!("you must specify an existing container or a new image when specifying args.");
    }
    let only_of_copies =
        [("replace", flags.replace), ("same-node", flags.same_node), ("set-image", !flags.set_image.is_empty())];
    if let Some((flag, _)) = only_of_copies.iter().find(|(_, set)| *set && !copy) {
        bail!("--{flag} may only be used with --copy-to.");
    }
    if !copy && !image {
        bail!("you must specify --image when not using --copy-to.");
    }
    if image && !is_image(&flags.image) {
        bail!("invalid image name {:?}: invalid reference format", flags.image);
    }
    if flags.targets.is_empty() && flags.filenames.is_empty() {
        bail!("NAME or filename is required for debug");
    }
    if !matches!(flags.image_pull_policy.as_str(), "" | "Always" | "IfNotPresent" | "Never") {
        bail!("invalid image pull policy: {}", flags.image_pull_policy);
    }
    for (name, image) in pairs(&flags.set_image)? {
        if !is_image(&image) {
            bail!("invalid image name {image:?} for container {name:?}: invalid reference format");
        }
    }
    if !flags.target.is_empty() {
        if copy {
            bail!("--target is incompatible with --copy-to. Use --share-processes instead.");
        }
        if !flags.quiet {
            crate::outln!(
                "Targeting container {:?}. If you don't see processes from this container it may be because the container runtime doesn't support this feature.",
                flags.target
            );
        }
    }
    if flags.tty && !flags.stdin {
        bail!("-i/--stdin is required for containers with -t/--tty=true");
    }
    let fixed = ["name", "command", "image", "lifecycle", "volumeDevices"];
    if custom.is_some_and(|c| fixed.iter().any(|key| !c[*key].is_null())) {
        bail!("name, command, image, lifecycle and volume devices are not modifiable via custom profile");
    }
    Ok(())
}

/// `[host[:port]/]path[:tag][@digest]`, as far as its letters go.
fn is_image(image: &str) -> bool {
    let (name, digest) = image.split_once('@').map_or((image, None), |(n, d)| (n, Some(d)));
    let last = name.rsplit('/').next().unwrap_or_default();
    let (path, tag) = match last.rsplit_once(':') {
        Some((_, tag)) => (&name[..name.len() - tag.len() - 1], Some(tag)),
        None => (name, None),
    };
    let word = |text: &str| {
        !text.is_empty()
            && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let mut parts = path.split('/').enumerate();
    let count = path.split('/').count();
    let host = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c)) && !text.is_empty();
    let fine = |(i, part): (usize, &str)| {
        (i == 0 && count > 1 && host(part)) || (word(part) && !part.chars().any(|c| c.is_ascii_uppercase()))
    };
    parts.all(fine)
        && tag.is_none_or(|t| word(t) && t.len() <= 128)
        && digest.is_none_or(|d| d.split_once(':').is_some_and(|(a, h)| word(a) && h.len() >= 32))
}

/// The pairs of a flag that may be repeated.
fn pairs(flags: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let pair = |word: &str| match word.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => bail!("{word} must be formatted as key=value"),
    };
    flags.iter().flat_map(|flag| crate::cli::debug::split(flag)).map(pair).collect()
}

fn custom(path: &str) -> anyhow::Result<Option<Value>> {
    if path.is_empty() {
        return Ok(None);
    }
    let text = std::fs::read(path).map_err(|error| {
        let why = crate::http::io_words(&error);
        anyhow::anyhow!("must pass a container spec json file for custom profile: open {path}: {why}")
    })?;
    let value = yaml::to_value(&text).with_context(|| format!("{path} does not contain a valid container spec"))?;
    match value.is_object() {
        true => Ok(Some(value)),
        false => bail!("{path} does not contain a valid container spec"),
    }
}

/// The objects to debug, as the server has them.
async fn targets(session: &Session, flags: &Debug) -> anyhow::Result<Vec<Value>> {
    if !flags.filenames.is_empty() && !flags.targets.is_empty() {
        bail!("resource/name arguments cannot be provided when a path is specified");
    }
    let mut wanted = Vec::new();
    if flags.filenames.is_empty() && flags.targets.iter().all(|t| !t.contains('/')) {
        wanted.extend(flags.targets.iter().map(|name| named(session, pods::resource(), name)));
    } else {
        let files = Files { filenames: flags.filenames.clone(), ..Files::default() };
        let discovery = session.discovery_for(&files, Asks::PAIR, files::Check::Decoded).await?;
        if files.any() {
            for manifest in files::read(&files, &discovery, session).await?.all()? {
                // The complaint about the type needs no object.
                if !matches!(manifest.resource.kind.as_str(), "Pod" | "Node") {
                    return Err(not_supported(&manifest.object));
                }
                wanted.push(manifest);
            }
        }
        for word in &flags.targets {
            let word = if word.contains('/') { word.clone() } else { format!("pods/{word}") };
            for target in targets::parse(&discovery, "debug", &[word])? {
                wanted.push(named(session, target.resource, &target.name.unwrap_or_default()));
            }
        }
    }
    let mut found = Vec::new();
    for manifest in &wanted {
        found.push(pods::noticed(session, had(session, manifest).await).await?);
    }
    Ok(found)
}

async fn in_pod(session: &Session, wanted: &Wanted<'_>, pod: &Value) -> anyhow::Result<(Value, String)> {
    let container = plan::ephemeral(wanted, pod)?;
    warn_of_user(&container, pod);
    let name = container["name"].as_str().unwrap_or_default().to_owned();
    let path = format!("/api/v1/namespaces/{}/pods/{}/ephemeralcontainers", pod.namespace(), pod.name());
    let there = pod["spec"]["ephemeralContainers"].as_array().into_iter().flatten();
    let order: Vec<Value> = there.chain([&container]).map(|c| json!({"name": c["name"]})).collect();
    let patch = json!({"spec": {"$setElementOrder/ephemeralContainers": order, "ephemeralContainers": [container]}});
    let kind = writing::PatchKind::Strategic.content_type();
    let patched = session.client.write(Method::PATCH, &path, kind, &patch).await;
    // A pod that is gone is named by the server, a subresource that is not there is not.
    if let Err(error) = &patched
        && let Some(refused) = error.downcast_ref::<Refused>()
        && refused.code == 404
        && refused.details["name"].as_str().unwrap_or_default().is_empty()
    {
        bail!("ephemeral containers are disabled for this cluster (error from server: {:?})", refused.message);
    }
    Ok((patched?, name))
}

async fn in_copy(session: &Session, wanted: &Wanted<'_>, pod: &Value) -> anyhow::Result<(Value, String)> {
    let (copy, name) = plan::copy(wanted, pod)?;
    let mut containers = copy["spec"]["containers"].as_array().into_iter().flatten();
    if let Some(container) = containers.find(|c| c["name"] == name.as_str()) {
        warn_of_user(container, &copy);
    }
    let collection = format!("/api/v1/namespaces/{}/pods", pod.namespace());
    let made = session.client.write(Method::POST, &collection, "application/json", &copy).await?;
    if wanted.flags.replace {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
        let path = format!("{collection}/{}", pod.name());
        session.client.write(Method::DELETE, &path, "application/json", &options).await?;
    }
    Ok((made, name))
}

async fn on_node(session: &Session, wanted: &Wanted<'_>, node: &Value) -> anyhow::Result<(Value, String)> {
    let pod = plan::on_node(wanted, node)?;
    let path = format!("/api/v1/namespaces/{}/pods", session.namespace);
    let made = session.client.write(Method::POST, &path, "application/json", &pod).await?;
    let name = pod["spec"]["containers"][0]["name"].as_str().unwrap_or_default().to_owned();
    Ok((made, name))
}

/// Rights are of little use to a user who is not root.
fn warn_of_user(container: &Value, pod: &Value) {
    let user = |value: &Value| value["securityContext"]["runAsUser"].as_i64();
    let not_root = user(&pod["spec"]).is_some_and(|u| u != 0) && user(container) != Some(0);
    let context = &container["securityContext"];
    let adds = context["capabilities"]["add"].as_array().is_some_and(|a| !a.is_empty());
    if not_root && (context["privileged"] == true || adds) {
        eprintln!(
            "Warning: Non-root user is configured for the entire target Pod, and some capabilities granted by debug profile may not work. Please consider using \"--custom\" with a custom profile that specifies \"securityContext.runAsUser: 0\"."
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(line: &str) -> Result<(), String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let args = crate::cli::parse(&words).expect("parses");
        let crate::cli::Command::Debug(flags) = args.command else { panic!("debug") };
        check(&flags, None).map_err(|e| e.to_string())
    }

    #[test]
    fn odd_flags_are_refused() {
        for (line, want) in [
            ("k debug p --image=busybox", Ok(())),
            ("k debug p -it --image=busybox -- sh -c x", Ok(())),
            ("k debug", Err("you must specify --image when not using --copy-to.")),
            ("k debug --image=x", Err("NAME or filename is required for debug")),
            ("k debug p --image=x --replace", Err("--replace may only be used with --copy-to.")),
            ("k debug p --copy-to=q", Err("you must specify --image, --set-image or command arguments.")),
            (
                "k debug p --copy-to=q -- sh",
                Err("you must specify an existing container or a new image when specifying args."),
            ),
            ("k debug p --image=x -t", Err("-i/--stdin is required for containers with -t/--tty=true")),
            ("k debug p --image=X", Err("invalid image name \"X\": invalid reference format")),
            ("k debug p --image=x --image-pull-policy=y", Err("invalid image pull policy: y")),
            (
                "k debug p --image=x --copy-to=q --target=c",
                Err("--target is incompatible with --copy-to. Use --share-processes instead."),
            ),
        ] {
            assert_eq!(checked(line), want.map_err(str::to_owned), "{line}");
        }
    }

    #[test]
    fn images() {
        for image in ["busybox", "busybox:1.36", "localhost:5000/a/b:t", "r.io/A/b"] {
            assert_eq!(is_image(image), !image.contains('A'), "{image}");
        }
        assert!(!is_image("") && !is_image("a b") && !is_image("a:") && !is_image("a//b"));
    }
}

//! `create`: from manifests, or from flags by a generator.
//!
//! Upstream: `kubectl/pkg/cmd/create`.

use super::{Session, edit};
use crate::apply::with_last_applied;
use crate::cli::Create;
use crate::cli::generators::{Creation, Generator, Secret, Service, Token};
use crate::discovery::{Asks, Discovery};
use crate::files::{Check, Manifest, Reading};
use crate::generate::{self, access, data, ingress, policy, service, typed, workload};
use crate::print::{Printer, Set};
use crate::selected::{had, labelled, named};
use crate::targets;
use crate::writing::{Failures, Writing, record, usage, warn_of_record, with_source};
use anyhow::{Context, bail};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::time;
use bytes::Bytes;
use http::{Method, header};
use serde_json::json;
use std::io::{IsTerminal, Read};

pub(super) async fn run(session: &Session, create: &Create) -> anyhow::Result<()> {
    match &create.generator {
        Some(Generator::Token(flags)) => token(session, flags).await,
        Some(generator) => generated(session, generator).await,
        None => from_files(session, create).await,
    }
}

async fn from_files(session: &Session, flags: &Create) -> anyhow::Result<()> {
    warn_of_record(flags.record.record);
    check(flags)?;
    if !flags.raw.is_empty() {
        return raw(session, Method::POST, &flags.raw, &flags.files.filenames[0]).await;
    }
    if flags.edit {
        return edit::before_create(session, flags).await;
    }
    let writing = Writing::new(&flags.dry_run.dry_run, &flags.field_manager, &flags.printing)?
        .validating(&flags.validate.validate)?;
    let check = Check::of(&flags.validate.validate);
    let discovery = session.discovery_for(&flags.files, Asks::ONCE, check).await?;
    let mut reading = Reading::of(&flags.files, &discovery, session, check)?;
    let (mut failures, mut unread, mut created) = (Vec::new(), Vec::new(), 0);
    while let Some(outcome) = reading.next().await {
        let mut manifest = match outcome {
            Ok(manifest) => manifest,
            Err(error) => {
                unread.push(error);
                continue;
            }
        };
        if !flags.selector.is_empty() && !labelled(&manifest.object, &flags.selector)? {
            continue;
        }
        record(&mut manifest.object, flags.record.record);
        match one(session, &writing, &manifest, flags.save_config).await {
            Ok(object) => {
                created += 1;
                writing.done(&manifest, &object, "created")?;
            }
            Err(error) => failures.push(with_source(error, "creating", &manifest.source)),
        }
    }
    if created == 0 && failures.is_empty() && unread.is_empty() {
        bail!("no objects passed to create");
    }
    Failures::with_unread(failures, unread)
}

fn check(flags: &Create) -> anyhow::Result<()> {
    if !flags.words.is_empty() {
        return Err(usage("create", format_args!("Unexpected args: [{}]", flags.words.join(" "))));
    }
    if !flags.files.any() {
        bail!("must specify one of -f and -k");
    }
    if flags.raw.is_empty() {
        return Ok(());
    }
    if flags.edit {
        bail!("--raw and --edit are mutually exclusive");
    }
    check_raw(&flags.files, &flags.printing.output)?;
    if !flags.selector.is_empty() {
        bail!("--raw and --selector (-l) are mutually exclusive");
    }
    Ok(())
}

/// What `--raw` does not go with.
pub(super) fn check_raw(files: &crate::cli::Files, output: &str) -> anyhow::Result<()> {
    let [name] = files.filenames.as_slice() else { bail!("--raw can only use a single local file or stdin") };
    if name.starts_with("http://") || name.starts_with("https://") {
        bail!("--raw cannot read from a url");
    }
    if files.recursive {
        bail!("--raw and --recursive are mutually exclusive");
    }
    if !output.is_empty() {
        bail!("--raw and --output are mutually exclusive");
    }
    Ok(())
}

/// What `--raw` asks for, without the scheme and the host that it may have, since only one server is asked. Refuses
/// what would not stay behind its address: `@elsewhere/` would make a user of it.
///
/// Upstream: `url.ParseRequestURI` of Go.
pub(super) fn raw_path(text: &str) -> anyhow::Result<String> {
    let (path, why) = match text.split_once(':') {
        _ if text.chars().any(|c| c.is_ascii_control()) => (None, "net/url: invalid control character in URL".into()),
        _ if text.starts_with('/') => (Some(text), String::new()),
        _ if text == "*" => (Some("/*"), String::new()),
        Some(("", _)) => (None, "missing protocol scheme".into()),
        Some((scheme, rest)) if is_scheme(scheme) => match rest.strip_prefix("//") {
            Some(rest) if rest.starts_with('[') && !rest.contains(']') => (None, "missing ']' in host".into()),
            Some(rest) => (Some(rest.find('/').map_or("/", |at| &rest[at..])), String::new()),
            None if rest.starts_with('/') => (Some(rest), String::new()),
            None => (Some("/"), String::new()),
        },
        _ => (None, "invalid URI for request".into()),
    };
    let (path, why) = match path.map(|path| (path, bad_escape(path))) {
        Some((_, Some(escape))) => (None, format!("invalid URL escape {escape:?}")),
        Some((path, None)) => (Some(path), why),
        None => (None, why),
    };
    match path {
        Some(path) => Ok(path.to_owned()),
        None => bail!("--raw must be a valid URL path: parse {text:?}: {why}"),
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// The first `%` of a path without two digits behind it, with what is behind it.
fn bad_escape(path: &str) -> Option<String> {
    let path = path.split('?').next().unwrap_or_default();
    let wrong = path.match_indices('%').map(|(at, _)| path[at..].chars().take(3).collect::<String>());
    wrong.into_iter().find(|escape| escape.len() != 3 || !escape[1..].bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Sends a file as it is and prints the answer as it is.
pub(super) async fn raw(session: &Session, method: Method, path: &str, file: &str) -> anyhow::Result<()> {
    let path = &raw_path(path)?;
    let mut body = Vec::new();
    match file {
        "-" => drop(std::io::stdin().read_to_end(&mut body)?),
        path => body = std::fs::read(path).with_context(|| format!("open {path}"))?,
    }
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::ACCEPT, "application/json")];
    let answer = session.client.send_raw(method, path, &headers, Bytes::from(body)).await?;
    crate::out!("{}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// Creates one object, or says what would be.
pub(super) async fn one(
    session: &Session,
    writing: &Writing<'_>,
    manifest: &Manifest,
    save: bool,
) -> anyhow::Result<Value> {
    let object = if save { with_last_applied(&manifest.object) } else { manifest.object.clone() };
    match writing.sends() {
        true => writing.create(session, &manifest.collection(), &object).await,
        false => Ok(object),
    }
}

/// What a generator makes, and how its failures are worded.
struct Plan<'a> {
    /// The subcommand.
    word: &'static str,
    /// `failed to create deployment: `, or nothing.
    failing: &'static str,
    creation: &'a Creation,
}

async fn generated(session: &Session, generator: &Generator) -> anyhow::Result<()> {
    let plan = plan(generator);
    let [name] = plan.creation.names.as_slice() else {
        let count = plan.creation.names.len();
        return Err(usage(&format!("create {}", plan.word), format_args!("exactly one NAME is required, got {count}")));
    };
    let creation = plan.creation;
    let writing = Writing::new(&creation.dry_run.dry_run, &creation.field_manager, &creation.printing)?
        .validating(&creation.validate.validate)?
        .typed();
    check_flags(generator, name)?;
    // Upstream's typed clients do not ask whether a server has their types, unless an object depends on it.
    let asks = matches!(generator, Generator::ClusterRole(_) | Generator::Role(_))
        || matches!(generator, Generator::Job(flags) if is_from_cron_job(flags));
    let times = if matches!(generator, Generator::Job(_)) { Asks::PAIR } else { Asks::TYPE };
    let discovery = if asks { session.discovery(times).await? } else { Discovery::builtin() };
    let mut object = make(session, &discovery, generator, name).await?;
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let Some(resource) = discovery.for_kind(text("apiVersion"), text("kind")).cloned() else {
        bail!("no matches for kind \"{}\" in version \"{}\"", text("kind"), text("apiVersion"));
    };
    if session.namespace_given && resource.namespaced {
        object.set_meta("namespace", session.namespace.as_str());
    }
    let manifest =
        Manifest { source: String::new(), object: typed(&object), resource, namespace: session.namespace.clone() };
    match one(session, &writing, &manifest, creation.save_config).await {
        Ok(object) => writing.done(&manifest, &typed(&object), "created"),
        Err(error) if plan.failing.is_empty() => Err(error),
        Err(error) => Err(anyhow::anyhow!("{}{error:#}", plan.failing)),
    }
}

/// What is wrong, as far as that can be told without a server.
fn check_flags(generator: &Generator, name: &str) -> anyhow::Result<()> {
    // The others leave an empty name to the server.
    let needs_name = matches!(
        generator,
        Generator::ClusterRole(_)
            | Generator::ConfigMap(_)
            | Generator::Namespace(_)
            | Generator::PodDisruptionBudget(_)
            | Generator::Quota(_)
            | Generator::Role(_)
            | Generator::RoleBinding(_)
            | Generator::Secret(Secret::DockerRegistry(_) | Secret::Generic(_))
            | Generator::ServiceAccount(_)
    );
    if needs_name && name.is_empty() {
        bail!("name must be specified");
    }
    match generator {
        Generator::ClusterRole(flags) => access::check_cluster_role(flags)?,
        Generator::Role(flags) => access::check_role(flags, &mut |text| eprintln!("{text}"))?,
        _ => {}
    }
    Ok(())
}

/// Whether a job is a cron job's; with anything else the flags contradict each other.
fn is_from_cron_job(flags: &crate::cli::generators::Job) -> bool {
    !flags.from.is_empty() && flags.image.is_empty() && flags.command.is_empty()
}

fn plan(generator: &Generator) -> Plan<'_> {
    let (word, failing, creation) = match generator {
        Generator::ClusterRole(f) => ("clusterrole", "", &f.role.creation),
        Generator::ClusterRoleBinding(f) => {
            ("clusterrolebinding", "failed to create clusterrolebinding: ", &f.creation)
        }
        Generator::ConfigMap(f) => ("configmap", "failed to create configmap: ", &f.creation),
        Generator::CronJob(f) => ("cronjob", "failed to create cronjob: ", &f.creation),
        Generator::Deployment(f) => ("deployment", "failed to create deployment: ", &f.creation),
        Generator::Ingress(f) => ("ingress", "failed to create ingress: ", &f.creation),
        Generator::Job(f) => ("job", "failed to create job: ", &f.creation),
        Generator::Namespace(f) => ("namespace", "", &f.creation),
        Generator::PodDisruptionBudget(f) => {
            ("poddisruptionbudget", "failed to create poddisruptionbudgets: ", &f.creation)
        }
        Generator::PriorityClass(f) => ("priorityclass", "failed to create priorityclass: ", &f.creation),
        Generator::Quota(f) => ("quota", "failed to create quota: ", &f.creation),
        Generator::Role(f) => ("role", "", &f.creation),
        Generator::RoleBinding(f) => ("rolebinding", "failed to create rolebinding: ", &f.creation),
        Generator::ServiceAccount(f) => ("serviceaccount", "failed to create serviceaccount: ", &f.creation),
        Generator::Secret(Secret::DockerRegistry(f)) => {
            ("secret docker-registry", "failed to create secret ", &f.creation)
        }
        Generator::Secret(Secret::Generic(f)) => ("secret generic", "failed to create secret ", &f.creation),
        Generator::Secret(Secret::Tls(f)) => ("secret tls", "failed to create secret ", &f.creation),
        Generator::Service(Service::ClusterIp(f)) => {
            ("service clusterip", "failed to create ClusterIP service: ", &f.creation)
        }
        Generator::Service(Service::ExternalName(f)) => {
            ("service externalname", "failed to create ExternalName service: ", &f.creation)
        }
        Generator::Service(Service::LoadBalancer(f)) => {
            ("service loadbalancer", "failed to create LoadBalancer service: ", &f.creation)
        }
        Generator::Service(Service::NodePort(f)) => {
            ("service nodeport", "failed to create NodePort service: ", &f.creation)
        }
        Generator::Token(_) => unreachable!("tokens are requested, not created"),
    };
    Plan { word, failing, creation }
}

async fn make(session: &Session, discovery: &Discovery, generator: &Generator, name: &str) -> anyhow::Result<Value> {
    let mut warn = |text: String| eprintln!("{text}");
    Ok(match generator {
        Generator::ClusterRole(flags) => access::cluster_role(name, flags, discovery, &mut warn)?,
        Generator::ClusterRoleBinding(flags) => access::binding("ClusterRoleBinding", name, flags)?,
        Generator::Role(flags) => access::role(name, flags, discovery, &mut warn)?,
        Generator::RoleBinding(flags) => access::binding("RoleBinding", name, flags)?,
        Generator::ConfigMap(flags) => {
            data::config_map(name, data::entries(&flags.sources, "configmap")?, flags.append_hash)?
        }
        Generator::CronJob(flags) => workload::cron_job(name, flags),
        Generator::Deployment(flags) => workload::deployment(name, flags)?,
        Generator::Ingress(flags) => ingress::ingress(name, flags)?,
        Generator::Job(flags) if is_from_cron_job(flags) => {
            workload::job_from(name, &cron_job(session, discovery, &flags.from).await?)
        }
        Generator::Job(flags) => workload::job(name, flags)?,
        Generator::Namespace(_) => json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
        Generator::ServiceAccount(_) => {
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
        }
        Generator::PodDisruptionBudget(flags) => policy::disruption_budget(name, flags)?,
        Generator::PriorityClass(flags) => policy::priority_class(name, flags),
        Generator::Quota(flags) => policy::quota(name, flags)?,
        Generator::Secret(secret) => make_secret(name, secret)?,
        Generator::Service(kind) => make_service(name, kind)?,
        Generator::Token(_) => bail!("tokens are requested, not created"),
    })
}

fn make_secret(name: &str, secret: &Secret) -> Result<Value, generate::GenerateError> {
    match secret {
        Secret::DockerRegistry(flags) => {
            data::secret(name, "kubernetes.io/dockerconfigjson", data::docker_registry(flags)?, flags.append_hash)
        }
        Secret::Generic(flags) => {
            data::secret(name, &flags.kind, data::entries(&flags.sources, "secret")?, flags.append_hash)
        }
        Secret::Tls(flags) => {
            data::secret(name, "kubernetes.io/tls", data::tls(&flags.cert, &flags.key)?, flags.append_hash)
        }
    }
}

fn make_service(name: &str, kind: &Service) -> Result<Value, generate::GenerateError> {
    let plan = match kind {
        Service::ClusterIp(f) => {
            service::Plan { kind: "ClusterIP", tcp: &f.tcp, cluster_ip: &f.clusterip, ..Default::default() }
        }
        Service::ExternalName(f) => {
            service::Plan { kind: "ExternalName", tcp: &f.tcp, external_name: &f.external_name, ..Default::default() }
        }
        Service::LoadBalancer(f) => service::Plan { kind: "LoadBalancer", tcp: &f.tcp, ..Default::default() },
        Service::NodePort(f) => {
            service::Plan { kind: "NodePort", tcp: &f.tcp, node_port: f.node_port, ..Default::default() }
        }
    };
    service::service(name, &plan)
}

async fn cron_job(session: &Session, discovery: &Discovery, word: &str) -> anyhow::Result<Value> {
    let Some(target) = targets::parse(discovery, "create", &[word.to_owned()])?.pop() else {
        bail!("from must be an existing cronjob");
    };
    let Some(name) = &target.name else { bail!("resource(s) were provided, but no name was specified") };
    let object = had(session, &named(session, target.resource.clone(), name)).await?;
    if target.resource.kind != "CronJob" {
        bail!("unknown object type *{}.{}", target.resource.version, target.resource.kind);
    }
    Ok(object)
}

/// `create token`.
async fn token(session: &Session, flags: &Token) -> anyhow::Result<()> {
    let [name] = flags.names.as_slice() else {
        return Err(usage("create token", format_args!("exactly one NAME is required, got {}", flags.names.len())));
    };
    let printer = Printer::of(&flags.printing, Set::Objects, false)?;
    if name.is_empty() {
        bail!("service account name is required");
    }
    let request = token_request(flags)?;
    if let Some(sign) = ['/', '%'].into_iter().find(|sign| name.contains(*sign)) {
        bail!("failed to create token: invalid resource name {name:?}: [may not contain '{sign}']");
    }
    let path = format!("/api/v1/namespaces/{}/serviceaccounts/{name}/token", session.namespace);
    let answer = session.client.write(Method::POST, &path, "application/json", &request).await;
    let answer = answer.map_err(|error| anyhow::anyhow!("failed to create token: {error:#}"))?;
    let token = answer.pointer("/status/token").and_then(Value::as_str).unwrap_or_default();
    if token.is_empty() {
        bail!("failed to create token: no token in server response");
    }
    match printer.map(Printer::typed) {
        None if std::io::stdout().is_terminal() => crate::outln!("{token}"),
        None => crate::out!("{token}"),
        Some(mut printer) => printer.print(&mut std::io::stdout(), &typed(&answer))?,
    }
    Ok(())
}

fn token_request(flags: &Token) -> anyhow::Result<Value> {
    let nanos = time::parse_go_nanos(&flags.duration)
        .with_context(|| format!("invalid argument {:?} for \"--duration\" flag", flags.duration))?;
    if nanos < 0 {
        bail!("--duration must be greater than or equal to 0");
    }
    if nanos % 1_000_000_000 != 0 {
        bail!("--duration cannot be expressed in units less than seconds");
    }
    if flags.audience.iter().any(String::is_empty) {
        bail!("--audience must not be an empty string");
    }
    let mut request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": flags.audience}});
    if nanos > 0 {
        request["spec"]["expirationSeconds"] = (nanos / 1_000_000_000).into();
    }
    let (kind, name, uid) = (&flags.bound_object_kind, &flags.bound_object_name, &flags.bound_object_uid);
    match kind.as_str() {
        "" if !name.is_empty() => bail!("--bound-object-name can only be set if --bound-object-kind is provided"),
        "" if !uid.is_empty() => bail!("--bound-object-uid can only be set if --bound-object-kind is provided"),
        "" => {}
        "Node" | "Pod" | "Secret" if name.is_empty() => {
            bail!("--bound-object-name is required if --bound-object-kind is provided")
        }
        "Node" | "Pod" | "Secret" => {
            request["spec"]["boundObjectRef"] = json!({"kind": kind, "apiVersion": "v1", "name": name, "uid": uid});
        }
        _ => bail!("supported --bound-object-kind values are Node, Pod, Secret"),
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_paths_stay_behind_the_address() {
        for (text, want) in [
            ("/healthz?a=%zz", Ok("/healthz?a=%zz")),
            ("http://x/y", Ok("/y")),
            ("http://x", Ok("/")),
            ("x:y", Ok("/")),
            ("@127.0.0.1:2/x", Err("invalid URI for request")),
            ("x", Err("invalid URI for request")),
            (":2/x", Err("missing protocol scheme")),
            ("http://[x/", Err("missing ']' in host")),
            ("/%zz", Err("invalid URL escape \"%zz\"")),
            ("/a%", Err("invalid URL escape \"%\"")),
            ("/a\u{1}", Err("net/url: invalid control character in URL")),
        ] {
            let want =
                want.map(str::to_owned).map_err(|why| format!("--raw must be a valid URL path: parse {text:?}: {why}"));
            assert_eq!(raw_path(text).map_err(|error| error.to_string()), want, "{text}");
        }
    }
}

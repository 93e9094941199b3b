//! The pods of a job.

use super::pods::{FAILURES, FINALIZER, IGNORED_FAILURES, INDEX, failures, ignored_failures};
use super::policies;
use crate::objects::{owner, template};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod};

const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";
/// The longest prefix that leaves room for a generated suffix.
const PREFIX_LENGTH: usize = 58;

/// A pod of the template, which its job tracks.
pub(super) fn pod(job: &Job) -> Pod {
    let meta = &job.metadata;
    let (namespace, name) = (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    let template = job.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let mut pod = template::pod(&template, namespace, name, owner::controller_ref(job));
    let finalizers = pod.metadata.finalizers.get_or_insert_default();
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        finalizers.push(FINALIZER.to_owned());
    }
    pod
}

/// The pod of one index; `replaced` is the failed pod before it.
pub(super) fn pod_of_index(job: &Job, index: i32, replaced: Option<&Pod>) -> Pod {
    let mut pod = pod(job);
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let meta = &mut pod.metadata;
    meta.generate_name = Some(prefix(name, index));
    meta.labels.get_or_insert_default().insert(INDEX.to_owned(), index.to_string());
    let annotations = meta.annotations.get_or_insert_default();
    annotations.insert(INDEX.to_owned(), index.to_string());
    if let Some(spec) = job.spec.as_ref().filter(|spec| spec.backoff_limit_per_index.is_some()) {
        let (counted, ignored) = counts(spec, replaced);
        annotations.insert(FAILURES.to_owned(), counted.to_string());
        if ignored > 0 {
            annotations.insert(IGNORED_FAILURES.to_owned(), ignored.to_string());
        }
    }
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(format!("{name}-{index}"));
    spec.init_containers.iter_mut().flatten().chain(&mut spec.containers).for_each(tell_index);
    pod
}

/// The failures of an index after one more, counted and not.
fn counts(spec: &JobSpec, replaced: Option<&Pod>) -> (i32, i32) {
    let Some(replaced) = replaced else { return (0, 0) };
    let (counted, ignored) = (failures(replaced), ignored_failures(replaced));
    match policies::judge(spec, replaced).counts() {
        true => (counted.saturating_add(1), ignored),
        false => (counted, ignored.saturating_add(1)),
    }
}

fn prefix(name: &str, index: i32) -> String {
    let suffix = format!("-{index}-");
    let most = PREFIX_LENGTH.saturating_sub(suffix.len());
    format!("{}{suffix}", &name[..name.floor_char_boundary(most)])
}

fn tell_index(container: &mut Container) {
    let variables = container.env.get_or_insert_default();
    if variables.iter().any(|variable| variable.name == INDEX_VARIABLE) {
        return;
    }
    let field = ObjectFieldSelector { api_version: None, field_path: format!("metadata.labels['{INDEX}']") };
    variables.push(EnvVar {
        name: INDEX_VARIABLE.to_owned(),
        value: None,
        value_from: Some(EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() }),
    });
}

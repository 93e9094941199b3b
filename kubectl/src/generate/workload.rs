//! Deployments, jobs and cron jobs.
//!
//! Upstream: `kubectl/pkg/cmd/create/create_{deployment,job,cronjob}.go`.

use super::GenerateError;
use crate::cli::generators::{CronJob, Deployment, Job};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use serde_json::json;

/// A deployment with a container per image.
pub fn deployment(name: &str, flags: &Deployment) -> Result<Value, GenerateError> {
    if flags.image.len() > 1 && !flags.command.is_empty() {
        return Err(GenerateError::Flags("cannot specify multiple --image options and command"));
    }
    let images = flags.image.iter().filter(|image| !image.is_empty());
    let mut containers: Vec<Value> =
        images.map(|image| container(&container_name(image), image, &flags.command)).collect();
    if let Some(first) = containers.first_mut().filter(|_| flags.port >= 0) {
        first["ports"] = json!([{"containerPort": flags.port}]);
    }
    Ok(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"replicas": flags.replicas, "selector": {"matchLabels": {"app": name}},
                 "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers}}}}))
}

/// A job that runs an image once.
pub fn job(name: &str, flags: &Job) -> Result<Value, GenerateError> {
    if flags.image.is_empty() == flags.from.is_empty() {
        return Err(GenerateError::Flags("either --image or --from must be specified"));
    }
    if !flags.command.is_empty() && !flags.from.is_empty() {
        return Err(GenerateError::Flags("cannot specify --from and command"));
    }
    let pod = json!({"containers": [container(name, &flags.image, &flags.command)], "restartPolicy": "Never"});
    Ok(
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": {"spec": pod}}}),
    )
}

/// A job as a cron job would start it.
pub fn job_from(name: &str, cron_job: &Value) -> Value {
    let template = &cron_job["spec"]["jobTemplate"];
    let mut annotations = template.annotations().cloned().unwrap_or_default();
    annotations.entry("cronjob.kubernetes.io/instantiate").or_insert_with(|| "manual".into());
    let mut metadata = json!({"name": name, "annotations": annotations, "ownerReferences": [{
        "apiVersion": "batch/v1", "kind": "CronJob", "name": cron_job.name(), "uid": cron_job.uid(), "controller": true}]});
    if let Some(labels) = template.labels() {
        metadata["labels"] = labels.clone().into();
    }
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]})
}

/// A cron job.
pub fn cron_job(name: &str, flags: &CronJob) -> Value {
    let restart = if flags.restart.is_empty() { "OnFailure" } else { &flags.restart };
    let pod = json!({"containers": [container(name, &flags.image, &flags.command)], "restartPolicy": restart});
    let job = json!({"metadata": {"name": name}, "spec": {"template": {"spec": pod}}});
    json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name},
        "spec": {"schedule": flags.schedule, "jobTemplate": job}})
}

fn container(name: &str, image: &str, command: &[String]) -> Value {
    let mut container = json!({"name": name, "image": image});
    if !command.is_empty() {
        container["command"] = command.into();
    }
    container
}

/// The image's last word without its tag; a name that had to be changed gets a random end.
fn container_name(image: &str) -> String {
    let base = image.rsplit('/').next().unwrap_or(image);
    let base = base.split([':', '@']).next().unwrap_or(base);
    match base.contains(['_', '.']) {
        true => format!("{}-{}", base.replace(['_', '.'], "-"), random_letters(5)),
        false => base.to_owned(),
    }
}

/// Letters that make no words, as names of generated objects end in.
pub fn random_letters(count: usize) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..count).map(|_| char::from(LETTERS[rand::random_range(0..LETTERS.len())])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_named_by_their_image() {
        assert_eq!(container_name("reg.io:5000/a/nginx:1.2"), "nginx");
        assert_eq!(container_name("nginx@sha256:0"), "nginx");
        assert!(container_name("my_app").starts_with("my-app-"));
    }

    #[test]
    fn jobs_know_their_cron_job() {
        let cron = json!({"metadata": {"name": "c", "uid": "u"}, "spec": {"jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": {"x": 1}}}});
        let job = job_from("j", &cron);
        assert_eq!(job["metadata"]["ownerReferences"][0]["uid"], "u");
        assert_eq!(job["metadata"]["annotations"]["cronjob.kubernetes.io/instantiate"], "manual");
        assert_eq!((&job["metadata"]["labels"]["a"], &job["spec"]["x"]), (&json!("b"), &json!(1)));
    }
}

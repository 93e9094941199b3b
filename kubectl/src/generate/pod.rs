//! The pod of `run`.
//!
//! Upstream: `kubectl/pkg/generate/versioned/run.go`.

use super::GenerateError;
use super::exposure::labels;
use crate::cli::run::Run;
use apimachinery::Value;
use serde_json::json;

/// A pod with one container.
pub fn pod(name: &str, flags: &Run) -> Result<Value, GenerateError> {
    let labels = match flags.labels.as_str() {
        "" => json!({"run": name}).as_object().cloned().unwrap_or_default(),
        text => labels(text)?,
    };
    let mut metadata = json!({"name": name, "labels": labels});
    for annotation in &flags.annotations {
        let Some((key, value)) = annotation.split_once('=') else {
            return Err(GenerateError::Value(format!("unexpected annotation spec: {annotation}")));
        };
        metadata["annotations"][key] = value.into();
    }
    Ok(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {
        "containers": [container(name, flags)?], "dnsPolicy": "ClusterFirst", "restartPolicy": restart(&flags.restart)?}}))
}

fn restart(text: &str) -> Result<&'static str, GenerateError> {
    match text {
        "Always" => Ok("Always"),
        "OnFailure" => Ok("OnFailure"),
        "Never" => Ok("Never"),
        other => Err(GenerateError::Value(format!(
            "invalid restart policy: {other}\nSee 'kubectl run -h' for help and examples"
        ))),
    }
}

fn container(name: &str, flags: &Run) -> Result<Value, GenerateError> {
    let mut container = json!({"name": name, "image": flags.image});
    // What follows the name is for the container, with or without `--` in between.
    let words: Vec<String> = flags.names.iter().skip(1).chain(&flags.args).cloned().collect();
    if !words.is_empty() {
        container[if flags.command { "command" } else { "args" }] = words.into();
    }
    let variables: Vec<Value> = flags.env.iter().map(|text| variable(text)).collect::<Result<_, _>>()?;
    if !variables.is_empty() {
        container["env"] = variables.into();
    }
    if !flags.port.is_empty() {
        let port = port(&flags.port)?;
        container["ports"] = json!([{"containerPort": port}]);
    }
    match flags.image_pull_policy.as_str() {
        "" => {}
        policy @ ("Always" | "IfNotPresent" | "Never") => container["imagePullPolicy"] = policy.into(),
        other => {
            return Err(GenerateError::Value(format!(
                "invalid image pull policy: {other}\nSee 'kubectl run -h' for help and examples"
            )));
        }
    }
    for (member, set) in
        [("stdin", flags.stdin), ("stdinOnce", flags.stdin && !flags.leave_stdin_open), ("tty", flags.tty)]
    {
        if set {
            container[member] = true.into();
        }
    }
    if flags.privileged {
        container["securityContext"] = json!({"privileged": true});
    }
    Ok(container)
}

/// A port; whether there is such a one is for the server to say.
pub(crate) fn port(text: &str) -> Result<i32, GenerateError> {
    let number: i64 =
        text.parse().map_err(|_| GenerateError::Value(format!("strconv.Atoi: parsing {text:?}: invalid syntax")))?;
    // Upstream keeps the lower half of what is too large.
    #[allow(clippy::cast_possible_truncation)]
    Ok(number as i32)
}

fn variable(text: &str) -> Result<Value, GenerateError> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(json!({"name": name, "value": value})),
        _ => Err(GenerateError::Value(format!("invalid env: {text}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Args, Command};
    use clap::Parser;

    fn made(line: &str) -> Result<Value, String> {
        let words = ["k", "run"].into_iter().chain(line.split_whitespace());
        let Command::Run(flags) = Args::parse_from(words).command else { panic!("run") };
        pod("web", &flags).map_err(|e| e.to_string())
    }

    #[test]
    fn pods_are_made_of_flags() {
        assert_eq!((port("-1").ok(), port("99999").ok()), (Some(-1), Some(99999)));
        let pod = made("web --image=nginx --port=80 --env=A=b -l x=y -it --restart=Never -- sh -c ls").expect("a pod");
        let container = &pod["spec"]["containers"][0];
        assert_eq!((&container["args"], &container["stdinOnce"]), (&json!(["sh", "-c", "ls"]), &json!(true)));
        assert_eq!((&container["env"][0]["value"], &container["ports"][0]["containerPort"]), (&json!("b"), &json!(80)));
        assert_eq!((&pod["metadata"]["labels"], &pod["spec"]["restartPolicy"]), (&json!({"x": "y"}), &json!("Never")));
        assert_eq!(made("web --image=a").expect("a pod")["metadata"]["labels"], json!({"run": "web"}));
        for wrong in [
            "web --image=a --restart=x",
            "web --image=a --env=x",
            "web --image=a --port=x",
            "web --image=a --image-pull-policy=x",
        ] {
            assert!(made(wrong).is_err(), "{wrong}");
        }
    }
}

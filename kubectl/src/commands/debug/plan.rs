//! The objects that debugging needs.

use super::profile::{Profile, Style};
use crate::cli::debug::Debug;
use crate::commands::patch;
use crate::pods;
use crate::writing::{PatchKind, member};
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use serde_json::json;

/// What was asked for.
pub(super) struct Wanted<'a> {
    pub(super) flags: &'a Debug,
    pub(super) profile: Profile,
    pub(super) custom: Option<Value>,
    pub(super) images: Vec<(String, String)>,
    pub(super) env: Vec<(String, String)>,
}

impl Wanted<'_> {
    fn env(&self) -> Value {
        self.env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
    }

    /// A container with what the flags say.
    fn container(&self, name: &str) -> Value {
        let flags = self.flags;
        let mut container = json!({"name": name, "image": flags.image, "terminationMessagePolicy": "File"});
        set(&mut container, "imagePullPolicy", flags.image_pull_policy.as_str().into());
        set(&mut container, "env", self.env());
        set(&mut container, "stdin", flags.stdin.into());
        set(&mut container, "tty", flags.tty.into());
        set(&mut container, if flags.arguments_only { "args" } else { "command" }, json!(flags.command));
        container
    }

    /// The name that was asked for, or one that nobody has.
    fn name(&self, pod: &Value) -> anyhow::Result<String> {
        if !self.flags.container.is_empty() {
            return Ok(self.flags.container.clone());
        }
        let taken = pods::container_names(pod);
        let mut name = format!("debugger-{}", suffix());
        while taken.contains(&name) {
            name = format!("debugger-{}", suffix());
        }
        if !self.flags.quiet {
            crate::outln!("Defaulting debug container name to {name}.");
        }
        Ok(name)
    }

    /// Changes a container as the user's file says.
    fn customized(&self, pod: Value, list: &str, name: &str) -> anyhow::Result<Value> {
        let Some(custom) = &self.custom else { return Ok(pod) };
        let mut custom = custom.clone();
        *member(&mut custom, "name") = name.into();
        patch::locally(pod, PatchKind::Strategic, &json!({"spec": {list: [custom]}}))
    }
}

/// Sets a member that is not empty.
fn set(object: &mut Value, key: &str, value: Value) {
    let empty = match &value {
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Bool(flag) => !flag,
        other => other.is_null(),
    };
    if !empty {
        object[key] = value;
    }
}

/// Five letters that make no words.
fn suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..5).map(|_| char::from(LETTERS[rand::random_range(0..LETTERS.len())])).collect()
}

/// The container that is put into the pod.
pub(super) fn ephemeral(wanted: &Wanted<'_>, pod: &Value) -> anyhow::Result<Value> {
    let name = wanted.name(pod)?;
    let mut container = wanted.container(&name);
    set(&mut container, "targetContainerName", wanted.flags.target.as_str().into());
    let mut changed = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod.name()},
        "spec": {"containers": [], "ephemeralContainers": [container]}});
    wanted.profile.apply(&mut changed, "ephemeralContainers", &name, Style::Ephemeral, wanted.flags);
    let mut changed = wanted.customized(changed, "ephemeralContainers", &name)?;
    Ok(changed["spec"]["ephemeralContainers"][0].take())
}

/// A copy of a pod, and the name of its container to attach to, empty if only images change.
pub(super) fn copy(wanted: &Wanted<'_>, pod: &Value) -> anyhow::Result<(Value, String)> {
    let flags = wanted.flags;
    let mut copy = json!({"apiVersion": "v1", "kind": "Pod", "spec": pod["spec"],
        "metadata": {"name": flags.copy_to, "namespace": pod.namespace()}});
    for marks in ["labels", "annotations"] {
        set(&mut copy["metadata"], marks, pod["metadata"][marks].clone());
    }
    if let Some(spec) = copy["spec"].as_object_mut() {
        spec.remove("ephemeralContainers");
        if !flags.same_node {
            spec.remove("nodeName");
        }
        if let Some(share) = flags.share_processes {
            spec.insert("shareProcessNamespace".into(), share.into());
        }
    }
    for container in copy["spec"]["containers"].as_array_mut().into_iter().flatten() {
        let of = |name: &str| wanted.images.iter().rev().find(|(n, _)| n == name).map(|(_, image)| image.as_str());
        let image = of(container["name"].as_str().unwrap_or_default()).or(of("*"));
        set(container, "image", image.unwrap_or_default().into());
    }
    let lists = ["containers", "initContainers"];
    let has = |list: &&&str| {
        copy["spec"][**list].as_array().is_some_and(|l| l.iter().any(|c| c["name"] == flags.container.as_str()))
    };
    let list = lists.iter().find(has).copied();
    if list.is_none() && flags.image.is_empty() {
        if !flags.set_image.is_empty() {
            return Ok((copy, String::new()));
        }
        bail!("you must specify image when creating new container");
    }
    let name = if list.is_some() { flags.container.clone() } else { wanted.name(&copy)? };
    if list.is_none()
        && let Some(containers) = copy["spec"]["containers"].as_array_mut()
    {
        containers.push(json!({"name": name, "terminationMessagePolicy": "File"}));
    }
    let list = list.unwrap_or("containers");
    let mut all = copy["spec"][list].as_array_mut().into_iter().flatten();
    if let Some(container) = all.find(|c| c["name"] == name.as_str()) {
        change(wanted, container);
    }
    wanted.profile.apply(&mut copy, list, &name, Style::Copy, flags);
    Ok((wanted.customized(copy, list, &name)?, name))
}

/// Changes a container of a copy, new or not, as the flags say.
fn change(wanted: &Wanted<'_>, container: &mut Value) {
    let flags = wanted.flags;
    if !flags.command.is_empty() {
        match flags.arguments_only {
            true => container["args"] = json!(flags.command),
            false => {
                container["command"] = json!(flags.command);
                container.as_object_mut().map(|c| c.remove("args"));
            }
        }
    }
    set(container, "env", wanted.env());
    set(container, "image", flags.image.as_str().into());
    set(container, "imagePullPolicy", flags.image_pull_policy.as_str().into());
    container["stdin"] = flags.stdin.into();
    container["tty"] = flags.tty.into();
}

/// A pod on a node.
pub(super) fn on_node(wanted: &Wanted<'_>, node: &Value) -> anyhow::Result<Value> {
    let flags = wanted.flags;
    let container = if flags.container.is_empty() { "debugger" } else { flags.container.as_str() };
    let name = format!("node-debugger-{}-{}", node.name(), suffix());
    if !flags.quiet {
        crate::outln!("Creating debugging pod {name} with container {container} on node {}.", node.name());
    }
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "kubectl-debug"}},
        "spec": {"containers": [wanted.container(container)], "nodeName": node.name(), "restartPolicy": "Never",
                 "tolerations": [{"operator": "Exists"}]}});
    wanted.profile.apply(&mut pod, "containers", container, Style::Node, flags);
    wanted.customized(pod, "containers", container)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(line: &str, custom: Option<Value>, act: impl FnOnce(&Wanted<'_>) -> T) -> T {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let args = crate::cli::parse(&words).expect("parses");
        let crate::cli::Command::Debug(flags) = args.command else { panic!("debug") };
        let pairs = |flags: &[String]| super::super::pairs(flags).expect("pairs");
        let profile = Profile::parse(&flags.profile).expect("a profile");
        act(&Wanted { profile, custom, images: pairs(&flags.set_image), env: pairs(&flags.env), flags: &flags })
    }

    fn pod() -> Value {
        json!({"metadata": {"name": "p", "namespace": "ns", "labels": {"a": "b"}}, "spec": {"nodeName": "n",
            "containers": [{"name": "c", "image": "old", "args": ["x"], "livenessProbe": {"exec": {}}}],
            "ephemeralContainers": [{"name": "e"}]}})
    }

    #[test]
    fn containers_in_pods() {
        let container =
            with("k debug p -q -it --image=busybox -c d --target=c --env=A=b -- sh", None, |w| ephemeral(w, &pod()));
        let want = json!({"name": "d", "image": "busybox", "terminationMessagePolicy": "File", "stdin": true, "tty": true,
            "command": ["sh"], "env": [{"name": "A", "value": "b"}], "targetContainerName": "c",
            "securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}});
        assert_eq!(container.expect("made"), want);
        let custom = Some(json!({"securityContext": {"runAsUser": 0}, "env": [{"name": "X", "value": "y"}]}));
        let container =
            with("k debug p -q --image=busybox -c d --profile=restricted", custom, |w| ephemeral(w, &pod()))
                .expect("made");
        assert_eq!(container["securityContext"]["runAsNonRoot"], true);
        assert_eq!(container["securityContext"]["runAsUser"], 0);
        assert_eq!(container["env"][0]["name"], "X");
    }

    #[test]
    fn copies_of_pods() {
        let (copied, name) =
            with("k debug p -q --copy-to=q -c c --image=new -- sh", None, |w| copy(w, &pod())).expect("made");
        assert_eq!(name, "c");
        assert_eq!(copied["spec"]["containers"][0]["command"], json!(["sh"]));
        assert!(copied["spec"]["containers"][0].get("args").is_none());
        assert!(copied["spec"].get("nodeName").is_none() && copied["spec"].get("ephemeralContainers").is_none());
        assert!(
            copied["metadata"].get("labels").is_none()
                && copied["spec"]["containers"][0].get("livenessProbe").is_none()
        );
        assert_eq!(copied["spec"]["shareProcessNamespace"], true);
        let (copied, name) =
            with("k debug p --copy-to=q --set-image=*=new --same-node", None, |w| copy(w, &pod())).expect("made");
        assert_eq!(
            (name.as_str(), &copied["spec"]["containers"][0]["image"], &copied["spec"]["nodeName"]),
            ("", &json!("new"), &json!("n"))
        );
        let (copied, name) =
            with("k debug p --copy-to=q --image=dbg --share-processes=false --keep-labels", None, |w| copy(w, &pod()))
                .expect("made");
        assert!(name.starts_with("debugger-") && copied["spec"]["containers"][1]["image"] == "dbg");
        assert_eq!(
            (&copied["spec"]["shareProcessNamespace"], &copied["metadata"]["labels"]["a"]),
            (&json!(false), &json!("b"))
        );
    }

    #[test]
    fn pods_on_nodes() {
        let node = json!({"metadata": {"name": "n"}});
        let pod =
            with("k debug node/n -q --image=busybox --profile=sysadmin", None, |w| on_node(w, &node)).expect("made");
        assert_eq!((&pod["spec"]["nodeName"], &pod["spec"]["hostPID"]), (&json!("n"), &json!(true)));
        assert_eq!(pod["spec"]["containers"][0]["securityContext"]["privileged"], true);
        assert_eq!(pod["spec"]["containers"][0]["volumeMounts"][0]["mountPath"], "/host");
        let pod =
            with("k debug node/n -q --image=busybox --profile=baseline", None, |w| on_node(w, &node)).expect("made");
        assert!(pod["spec"].get("hostPID").is_none() && pod["spec"].get("volumes").is_none());
    }
}

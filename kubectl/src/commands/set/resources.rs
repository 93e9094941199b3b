//! `set resources`.

use super::{Change, containers, fits, pod_spec};
use crate::cli::set::Resources;
use crate::commands::Session;
use crate::generate::policy::quantities;
use anyhow::bail;
use apimachinery::{Map, Value};

pub(super) async fn run(session: &Session, flags: &Resources) -> anyhow::Result<()> {
    let change = Change {
        setting: &flags.setting,
        words: &flags.setting.words,
        selector: &flags.selector,
        what: "resource requirements",
        failing: "failed to patch resources update to pod template ",
    };
    if flags.limits.is_empty() && flags.requests.is_empty() {
        let why =
            anyhow::anyhow!("you must specify an update to requests or limits (in the form of --requests/--limits)");
        return change.refuse(session, why).await;
    }
    let read = |text: &str| if text.is_empty() { Ok(Map::new()) } else { quantities(text) };
    let (limits, requests) = match (read(&flags.limits), read(&flags.requests)) {
        (Ok(limits), Ok(requests)) => (limits, requests),
        (Err(why), _) | (_, Err(why)) => return change.refuse(session, why).await,
    };
    change.run(session, |object| set(object, &flags.containers, &limits, &requests)).await
}

fn set(object: &mut Value, pattern: &str, limits: &Map, requests: &Map) -> anyhow::Result<()> {
    let mut found = false;
    for container in containers(pod_spec(object)?) {
        if !fits(pattern, container["name"].as_str().unwrap_or_default()) {
            continue;
        }
        found = true;
        for (member, amounts) in [("limits", limits), ("requests", requests)] {
            for (name, amount) in amounts {
                container["resources"][member][name] = amount.clone();
            }
        }
    }
    if !found {
        bail!("error: unable to find container named {pattern}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sets_amounts() {
        let mut pod =
            json!({"kind": "Pod", "spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "1"}}}]}});
        set(&mut pod, "*", &quantities("cpu=2").expect("fine"), &quantities("memory=1Gi").expect("fine"))
            .expect("fine");
        assert_eq!(
            pod["spec"]["containers"][0]["resources"],
            json!({"limits": {"cpu": "2"}, "requests": {"memory": "1Gi"}})
        );
        assert!(set(&mut pod, "x", &Map::new(), &Map::new()).is_err());
    }
}

//! `set image`.

use super::{Change, containers, pod_spec, split};
use crate::cli::set::Image;
use crate::commands::Session;
use crate::writing::Failures;
use anyhow::bail;
use apimachinery::Value;

pub(super) async fn run(session: &Session, flags: &Image) -> anyhow::Result<()> {
    let (words, images) = split(&flags.setting.words, is_change);
    if let Some(late) = flags.setting.words.iter().skip_while(|w| !is_change(w)).find(|w| !is_change(w)) {
        bail!("all resources must be specified before image changes: {late}");
    }
    let change = Change {
        setting: &flags.setting,
        words: &words,
        selector: &flags.selector,
        what: "image",
        failing: "failed to patch image update to pod template: ",
    };
    if words.is_empty() && !flags.setting.files.any() {
        bail!(crate::selected::NOTHING);
    }
    if images.is_empty() {
        return change.refuse(session, anyhow::anyhow!("at least one image update is required")).await;
    }
    let images: Vec<(&str, &str)> = images.iter().filter_map(|pair| pair.split_once('=')).collect();
    if images.len() > 1 && images.iter().any(|(name, _)| *name == "*") {
        bail!("all containers are already specified by *, but saw more than one container_name=container_image pairs");
    }
    change.run(session, |object| set(object, &images)).await
}

/// `CONTAINER=IMAGE`.
fn is_change(word: &str) -> bool {
    word.find('=').is_some_and(|place| place > 0)
}

fn set(object: &mut Value, images: &[(&str, &str)]) -> anyhow::Result<()> {
    let mut list = containers(pod_spec(object)?);
    let mut failures = Vec::new();
    for (name, image) in images {
        let mut found = false;
        for container in list.iter_mut().filter(|c| *name == "*" || c["name"] == *name) {
            container["image"] = (*image).into();
            found = true;
        }
        if !found {
            failures.push(anyhow::anyhow!("error: unable to find container named {name:?}"));
        }
    }
    Failures::outcome(failures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sets_images() {
        let mut pod =
            json!({"kind": "Pod", "spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}});
        set(&mut pod, &[("a", "2")]).expect("fine");
        assert_eq!(
            (&pod["spec"]["containers"][0]["image"], &pod["spec"]["containers"][1]["image"]),
            (&json!("2"), &json!("1"))
        );
        set(&mut pod, &[("*", "3")]).expect("fine");
        assert_eq!(pod["spec"]["containers"][1]["image"], "3");
        assert_eq!(
            set(&mut pod, &[("x", "3")]).expect_err("none").to_string(),
            "error: unable to find container named \"x\""
        );
    }
}

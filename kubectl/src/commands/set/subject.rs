//! `set subject`.

use super::Change;
use crate::cli::set::Subject;
use crate::commands::Session;
use crate::generate::access;
use anyhow::bail;
use apimachinery::Value;

pub(super) async fn run(session: &Session, flags: &Subject) -> anyhow::Result<()> {
    let placed = |account: &String| match account.split_once(':') {
        Some(("", name)) => format!("{}:{name}", session.namespace),
        _ => account.clone(),
    };
    let accounts: Vec<String> = flags.service_accounts.iter().map(placed).collect();
    let change = Change {
        setting: &flags.setting,
        words: &flags.setting.words,
        selector: &flags.selector,
        what: "subjects",
        failing: "failed to patch subjects to rolebinding: ",
    };
    if flags.user.is_empty() && flags.groups.is_empty() && flags.service_accounts.is_empty() {
        let why = anyhow::anyhow!("you must specify at least one value of user, group or serviceaccount");
        return change.refuse(session, why).await;
    }
    let subjects = match access::subjects(&flags.user, &flags.groups, &accounts) {
        Ok(subjects) => subjects,
        Err(why) => return change.refuse(session, why).await,
    };
    change.run(session, |object| add(object, &subjects)).await
}

fn add(object: &mut Value, subjects: &[Value]) -> anyhow::Result<()> {
    if !matches!(object["kind"].as_str(), Some("RoleBinding" | "ClusterRoleBinding")) {
        bail!("setting subjects is only supported for RoleBinding/ClusterRoleBinding");
    }
    let mut all = object["subjects"].as_array().cloned().unwrap_or_default();
    for subject in subjects {
        if !all.contains(subject) {
            all.push(subject.clone());
        }
    }
    object["subjects"] = all.into();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn subjects_are_added_once() {
        let user = json!({"kind": "User", "name": "u"});
        let mut binding = json!({"kind": "RoleBinding", "subjects": [user]});
        add(&mut binding, &[user.clone(), json!({"kind": "Group", "name": "g"})]).expect("fine");
        assert_eq!(binding["subjects"].as_array().map(Vec::len), Some(2));
        assert!(add(&mut json!({"kind": "Pod"}), &[]).is_err());
    }
}

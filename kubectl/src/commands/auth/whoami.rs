//! `auth whoami`.
//!
//! Upstream: `kubectl/pkg/cmd/auth/whoami.go`.

use super::Session;
use crate::cli::auth::WhoAmI;
use crate::print::table::Grid;
use crate::print::{Printer, Set};
use crate::writing::{code, is_not_found};
use anyhow::bail;
use apimachinery::Value;
use http::Method;
use serde_json::json;

pub(super) async fn run(session: &Session, flags: &WhoAmI) -> anyhow::Result<()> {
    let printer = Printer::of(&flags.print, Set::Objects, false)?.map(Printer::typed);
    let mut review = ask(session, "v1").await;
    for older in ["v1beta1", "v1alpha1"] {
        if review.as_ref().is_err_and(is_not_found) {
            review = ask(session, older).await;
        }
    }
    let review = match review {
        Err(error) if is_not_found(&error) => bail!("the selfsubjectreviews API is not enabled in the cluster"),
        Err(error) if code(&error) == Some(403) => {
            bail!("the selfsubjectreviews API is not enabled in the cluster or you do not have permission to call it")
        }
        review => review?,
    };
    match printer {
        Some(mut printer) => printer.print(&mut std::io::stdout().lock(), &review)?,
        None => crate::out!("{}", table(&review["status"]["userInfo"]).render(false)),
    }
    Ok(())
}

async fn ask(session: &Session, version: &str) -> anyhow::Result<Value> {
    let path = format!("/apis/authentication.k8s.io/{version}/selfsubjectreviews");
    let review = json!({"apiVersion": format!("authentication.k8s.io/{version}"), "kind": "SelfSubjectReview"});
    session.client.write(Method::POST, &path, "application/json", &review).await
}

fn table(user: &Value) -> Grid {
    let mut rows = Vec::new();
    for (title, key) in [("Username", "username"), ("UID", "uid")] {
        if let Some(text) = user[key].as_str().filter(|t| !t.is_empty()) {
            rows.push(vec![title.to_owned(), text.to_owned()]);
        }
    }
    if user["groups"].as_array().is_some_and(|g| !g.is_empty()) {
        rows.push(vec!["Groups".to_owned(), list(&user["groups"])]);
    }
    for (key, values) in user["extra"].as_object().into_iter().flatten() {
        rows.push(vec![format!("Extra: {key}"), list(values)]);
    }
    Grid { header: vec!["ATTRIBUTE".into(), "VALUE".into()], rows }
}

/// `[a b]`, as Go prints a list.
pub(super) fn list(values: &Value) -> String {
    let texts = values.as_array().into_iter().flatten().filter_map(Value::as_str);
    format!("[{}]", texts.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_is_known() {
        let user = json!({"username": "me", "groups": ["a", "b"], "extra": {"k": ["v"]}});
        let want = "ATTRIBUTE   VALUE\nUsername    me\nGroups      [a b]\nExtra: k    [v]\n";
        assert_eq!(table(&user).render(false), want);
    }
}

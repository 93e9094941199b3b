//! What a token's Secret lacks.

use crate::objects::secrets::{ACCOUNT_NAME, ACCOUNT_UID};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};

const CA: &str = "ca.crt";
const NAMESPACE: &str = "namespace";
const TOKEN: &str = "token";

/// Whether anything lacks.
pub(super) fn lacks(secret: &Secret, root_ca: Option<&str>) -> bool {
    is_empty(secret, NAMESPACE) || is_empty(secret, TOKEN) || lacks_ca(secret, root_ca)
}

/// Whether the token itself lacks.
pub(super) fn lacks_token(secret: &Secret) -> bool {
    is_empty(secret, TOKEN)
}

fn lacks_ca(secret: &Secret, root_ca: Option<&str>) -> bool {
    root_ca.is_some_and(|ca| !ca.is_empty() && datum(secret, CA) != ca.as_bytes())
}

fn is_empty(secret: &Secret, key: &str) -> bool {
    datum(secret, key).is_empty()
}

fn datum<'a>(secret: &'a Secret, key: &str) -> &'a [u8] {
    secret.data.as_ref().and_then(|data| data.get(key)).map_or(&[], |datum| &datum.0)
}

/// The Secret with all that it lacks; `token` is only taken if there is none.
pub(super) fn filled(
    secret: &Secret,
    account: &ServiceAccount,
    root_ca: Option<&str>,
    token: Option<String>,
) -> Secret {
    let mut after = secret.clone();
    let data = after.data.get_or_insert_default();
    let mut put = |key: &str, value: &str| data.insert(key.to_owned(), ByteString(value.as_bytes().to_vec()));
    if let Some(ca) = root_ca.filter(|_| lacks_ca(secret, root_ca)) {
        put(CA, ca);
    }
    if is_empty(secret, NAMESPACE) {
        put(NAMESPACE, secret.metadata.namespace.as_deref().unwrap_or_default());
    }
    if let Some(token) = token.filter(|_| is_empty(secret, TOKEN)) {
        put(TOKEN, &token);
    }
    let annotations = after.metadata.annotations.get_or_insert_default();
    annotations.insert(ACCOUNT_NAME.to_owned(), account.metadata.name.clone().unwrap_or_default());
    annotations.insert(ACCOUNT_UID.to_owned(), account.metadata.uid.clone().unwrap_or_default());
    after
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::secrets::text;
    use serde_json::json;

    #[test]
    fn only_what_lacks_is_filled_in() {
        let account: ServiceAccount =
            serde_json::from_value(json!({"metadata": {"name": "a", "namespace": "n", "uid": "u"}})).unwrap();
        // "b2xk" is "old".
        let secret: Secret =
            serde_json::from_value(json!({"metadata": {"name": "s", "namespace": "n"}, "data": {"ca.crt": "b2xk"}}))
                .unwrap();
        assert!(lacks(&secret, None) && lacks_token(&secret));
        let after = filled(&secret, &account, Some("new"), Some("t".into()));
        assert_eq!((text(&after, CA), text(&after, NAMESPACE), text(&after, TOKEN)), ("new", "n", "t"));
        assert_eq!(after.metadata.annotations.as_ref().unwrap()[ACCOUNT_UID], "u");
        assert!(!lacks(&after, Some("new")) && !lacks(&after, None) && lacks(&after, Some("newer")));
        assert_eq!(text(&filled(&after, &account, None, Some("other".into())), TOKEN), "t");
    }
}

//! `serviceaccounts/token`: tokens for service accounts, bound to a pod, secret or node if asked.
//!
//! Upstream: `pkg/registry/core/serviceaccount/storage/token.go`, `pkg/serviceaccount/claims.go`.

use crate::authentication::ServiceAccountTokens;
use crate::authentication::service_account::{Bound, Claims, Reference, core};
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::gvk::{GroupResource, GroupVersionKind};
use apimachinery::meta::ObjectMeta;
use apimachinery::status::Status;
use apimachinery::{Value, time};
use apiserver_registry::{Context, TokenIssuer};
use apiserver_storage::Match;
use async_trait::async_trait;

/// Shortest life that may be asked for, in seconds.
const MIN_EXPIRATION: i64 = 600;
/// Longest life that may be asked for.
const MAX_EXPIRATION: i64 = 1 << 32;
/// The odd life that admission asks for in pods: those tokens live long, so that clients that
/// never read the file again keep working.
const EXTENDED_MARK: i64 = 3607;
/// How long such a token lives.
const EXTENDED: i64 = 365 * 24 * 60 * 60;

#[async_trait]
impl TokenIssuer for ServiceAccountTokens {
    async fn issue(&self, cx: &Context, account: &Value, mut request: Value) -> Result<Value, Status> {
        let expiration = self.expiration(cx, &request)?;
        let bound = self.bound(cx, account, &request).await?;
        let (now, audiences) = (jiff::Timestamp::now(), self.audiences(&request));
        let extended = self.config.extend_expiration
            && expiration == EXTENDED_MARK
            && bound.pod.is_some()
            && audiences == self.config.audiences;
        let life = if extended { EXTENDED } else { expiration };
        let mut claims = Claims {
            aud: audiences.clone(),
            exp: now.as_second() + life,
            iat: now.as_second(),
            iss: self.issuer().to_owned(),
            jti: uuid::Uuid::new_v4().to_string(),
            kubernetes: bound,
            nbf: now.as_second(),
            sub: format!("system:serviceaccount:{}:{}", cx.namespace, cx.name),
        };
        claims.kubernetes.warnafter = extended.then(|| now.as_second() + expiration);
        let token = match self.sign(&claims) {
            Some(Ok(token)) => token,
            Some(Err(error)) => return Err(Status::internal(format!("failed to create token: {error}"))),
            None => return Err(Status::internal("no key to sign tokens with")),
        };
        // The client shall renew in time, whatever the token's real end.
        let told = jiff::Timestamp::from_second(now.as_second() + expiration).unwrap_or(now);
        request["spec"]["audiences"] = audiences.into();
        request["spec"]["expirationSeconds"] = expiration.into();
        request["status"] = serde_json::json!({"token": token, "expirationTimestamp": time::format(told)});
        Ok(request)
    }
}

impl ServiceAccountTokens {
    fn audiences(&self, request: &Value) -> Vec<String> {
        let asked = request.pointer("/spec/audiences").and_then(Value::as_array).into_iter().flatten();
        let asked: Vec<String> = asked.filter_map(Value::as_str).map(str::to_owned).collect();
        if asked.is_empty() { self.config.audiences.clone() } else { asked }
    }

    fn expiration(&self, cx: &Context, request: &Value) -> Result<i64, Status> {
        let asked = request.pointer("/spec/expirationSeconds").and_then(Value::as_i64).unwrap_or(3600);
        let detail = match asked {
            ..MIN_EXPIRATION => "may not specify a duration less than 10 minutes",
            n if n > MAX_EXPIRATION => "may not specify a duration larger than 2^32 seconds",
            _ => return Ok(self.shortened(cx, asked)),
        };
        let path = Path::new("spec").child("expirationSeconds");
        let error = FieldError { path, kind: FieldErrorKind::Invalid(asked.to_string(), detail.into()) };
        let kind = GroupVersionKind::new("authentication.k8s.io", "v1", "TokenRequest");
        // Upstream does not say whose.
        Err(Status::invalid(&kind, "", &[error]))
    }

    fn shortened(&self, cx: &Context, asked: i64) -> i64 {
        match self.config.max_expiration {
            Some(most) if asked > most => {
                cx.warn(format!("requested expiration of {asked} seconds shortened to {most} seconds"));
                most
            }
            _ => asked,
        }
    }

    /// What the token is bound to; the objects must exist with the UIDs that were given.
    async fn bound(&self, cx: &Context, account: &Value, request: &Value) -> Result<Bound, Status> {
        let reference = |value: &Value| Reference { name: value.name().into(), uid: value.uid().into() };
        let mut bound = Bound {
            namespace: cx.namespace.clone(),
            node: None,
            pod: None,
            secret: None,
            serviceaccount: reference(account),
            warnafter: None,
        };
        let Some(target) = request.pointer("/spec/boundObjectRef").filter(|t| !t.is_null()) else { return Ok(bound) };
        let text = |key: &str| target.get(key).and_then(Value::as_str).unwrap_or_default();
        match (text("apiVersion"), text("kind")) {
            ("v1", "Pod") => {
                let pod = self.existing(cx, "pods", text("name"), text("uid")).await?;
                let account = pod.pointer("/spec/serviceAccountName").and_then(Value::as_str);
                if account != Some(cx.name.as_str()) {
                    let why = format!(
                        "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                        cx.name
                    );
                    return Err(Status::bad_request(why));
                }
                bound.node = self.node_of(&pod);
                bound.pod = Some(reference(&pod));
            }
            ("v1", "Secret") => {
                bound.secret = Some(reference(&self.existing(cx, "secrets", text("name"), text("uid")).await?))
            }
            ("v1", "Node") => {
                bound.node = Some(reference(&self.existing(cx, "nodes", text("name"), text("uid")).await?))
            }
            (version, kind) => {
                let slash = if version.contains('/') { "" } else { "/" };
                let why = format!("cannot bind token to object of type {slash}{version}, Kind={kind}");
                return Err(Status::bad_request(why));
            }
        }
        Ok(bound)
    }

    async fn existing(&self, cx: &Context, plural: &'static str, name: &str, uid: &str) -> Result<Value, Status> {
        let resource = core(plural).ok_or_else(Status::method_not_allowed)?;
        let namespace = if resource.namespaced { cx.namespace.as_str() } else { "" };
        let found = self.store.get(resource, &resource.key(namespace, name), Match::MostRecent).await;
        let object = found.map_err(Status::internal)?;
        let group_resource = GroupResource::new("", plural);
        let object = object.ok_or_else(|| Status::not_found(&group_resource, name))?;
        if !uid.is_empty() && uid != object.uid() {
            let why = format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
            );
            return Err(Status::conflict(&group_resource, name, &why));
        }
        Ok(object.value())
    }

    fn node_of(&self, pod: &Value) -> Option<Reference> {
        let name = pod.pointer("/spec/nodeName").and_then(Value::as_str).filter(|n| !n.is_empty())?;
        let resource = core("nodes")?;
        let node = self.store.cached(resource, &resource.key("", name));
        Some(Reference { name: name.into(), uid: node.map(|n| n.uid().to_owned()).unwrap_or_default() })
    }
}

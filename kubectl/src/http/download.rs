//! Texts from anywhere.

use super::Client;
use crate::config::Connection;
use anyhow::bail;
use bytes::Bytes;
use http::{Method, header};
use http_body_util::BodyExt;
use url::Url;

/// GETs a text from anywhere, as `-f URL` does.
pub async fn download(url: &str, limit: u64) -> anyhow::Result<String> {
    let parsed = Url::parse(url)?;
    let mut origin = parsed.clone();
    origin.set_path("");
    origin.set_query(None);
    let client = Client::new(Connection { server: origin.to_string(), ..Connection::default() })?;
    let path = match parsed.query() {
        Some(query) => format!("{}?{query}", parsed.path()),
        None => parsed.path().to_owned(),
    };
    let response = client.send(Method::GET, &path, &[(header::ACCEPT, "*/*")], Bytes::new()).await?;
    if !response.status().is_success() {
        let status = response.status();
        bail!(
            "unable to read URL \"{url}\", server reported {} {}, status code={}",
            status.as_u16(),
            status.canonical_reason().unwrap_or_default(),
            status.as_u16()
        );
    }
    let body = http_body_util::Limited::new(response.into_body(), usize::try_from(limit)?);
    let bytes = body.collect().await.map_err(|error| anyhow::anyhow!("reading {url}: {error}"))?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec())?)
}

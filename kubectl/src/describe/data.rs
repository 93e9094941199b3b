//! Config maps, secrets and service accounts.

use super::sections::{Sections, shown};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rules::tree::Tree;

pub(super) fn config_map(out: &mut Sections, map: &Value) {
    head(out, map);
    out.line(0, "\nData\n====");
    for (key, value) in map.entries("data") {
        out.line(0, format_args!("{key}:\n----"));
        out.line(0, value.as_str().unwrap_or_default());
        out.line(0, "");
    }
    out.line(0, "\nBinaryData\n====");
    for (key, value) in map.entries("binaryData") {
        out.line(0, format_args!("{key}: {} bytes", decoded(value).len()));
    }
    out.line(0, "");
}

pub(super) fn secret(out: &mut Sections, secret: &Value) {
    head(out, secret);
    let kind = secret.text("type");
    out.write(0, format_args!("\nType:\t{kind}\n"));
    out.line(0, "\nData\n====");
    for (key, value) in secret.entries("data") {
        let data = decoded(value);
        match (key, kind) {
            ("token", "kubernetes.io/service-account-token") => out.field(0, key, String::from_utf8_lossy(&data)),
            _ => out.field(0, key, format_args!("{} bytes", data.len())),
        }
    }
}

fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default()
}

pub(super) fn service_account(out: &mut Sections, account: &Value) {
    head(out, account);
    let secrets = account.items("imagePullSecrets");
    if secrets.is_empty() {
        out.line(0, "Image pull secrets:\t<none>");
    }
    for (i, secret) in secrets.iter().enumerate() {
        let title = if i == 0 { "Image pull secrets:" } else { "                   " };
        out.line(0, format_args!("{title}\t{}", secret.at("name").map(shown).unwrap_or_default()));
    }
}

fn head(out: &mut Sections, object: &Value) {
    out.field(0, "Name", object.name());
    out.field(0, "Namespace", object.namespace());
    out.labels("Labels", object.labels());
    out.annotations("Annotations", object.annotations());
}

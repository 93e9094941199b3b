//! Certificate signing requests.

use super::sections::{Sections, joined};
use super::times::{seconds, stamp};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pki::{PkiError, RequestText};
use rules::tree::Tree;

pub(super) fn write(out: &mut Sections, request: &Value) -> anyhow::Result<()> {
    let spec = &request["spec"];
    let pem = STANDARD.decode(spec.text("request")).unwrap_or_default();
    let asked = RequestText::read(&pem).map_err(unreadable)?;
    out.field(0, "Name", request.name());
    out.field(0, "Labels", joined(request.labels()));
    out.field(0, "Annotations", joined(request.annotations()));
    out.field(0, "CreationTimestamp", stamp(request.meta_str("creationTimestamp")));
    out.field(0, "Requesting User", spec.text("username"));
    out.field_if(0, "Signer", spec.text("signerName"));
    if spec.has("expirationSeconds") {
        out.field(0, "Requested Duration", seconds(spec.int("expirationSeconds")));
    }
    out.field(0, "Status", status(&request["status"]));
    out.line(0, "Subject:");
    out.field(0, "\tCommon Name", &asked.common_name);
    out.field(0, "\tSerial Number", &asked.serial_number);
    for (title, values) in [
        ("Organization", &asked.organizations),
        ("Organizational Unit", &asked.organizational_units),
        ("Country", &asked.countries),
        ("Locality", &asked.localities),
        ("Province", &asked.provinces),
        ("StreetAddress", &asked.streets),
        ("PostalCode", &asked.postal_codes),
    ] {
        list(out, title, values);
    }
    let names = [
        ("DNS Names", &asked.dns_names),
        ("Email Addresses", &asked.emails),
        ("URIs", &asked.uris),
        ("IP Addresses", &asked.addresses),
    ];
    if names.iter().any(|(_, values)| !values.is_empty()) {
        out.line(0, "Subject Alternative Names:");
        names.iter().for_each(|(title, values)| list(out, title, values));
    }
    Ok(())
}

fn unreadable(error: PkiError) -> anyhow::Error {
    match error {
        PkiError::Missing { .. } => {
            anyhow::anyhow!("Error parsing CSR: PEM block type must be CERTIFICATE REQUEST")
        }
        error => anyhow::anyhow!("Error parsing CSR: {error}"),
    }
}

fn list(out: &mut Sections, title: &str, values: &[String]) {
    if !values.is_empty() {
        out.field(0, &format!("\t{title}"), values.join("\n\t\t"));
    }
}

fn status(status: &Value) -> String {
    let has = |kind: &str| status.items("conditions").iter().any(|c| c.text("type") == kind);
    let mut text = match () {
        () if has("Denied") => "Denied".to_owned(),
        () if has("Approved") => "Approved".to_owned(),
        () => "Pending".to_owned(),
    };
    if has("Failed") {
        text.push_str(",Failed");
    }
    if !status.text("certificate").is_empty() {
        text.push_str(",Issued");
    }
    text
}

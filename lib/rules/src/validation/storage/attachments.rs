//! Volume attachments.

use super::super::check::{At, Report};
use super::super::names::subdomain;
use super::super::workloads::spec_of;
use super::{SPEC, csi, volumes};
use crate::tree::Tree;
use apimachinery::Value;

const MAX_METADATA: usize = 256 * 1024;
const MAX_MESSAGE: usize = 1024;
const ONE_SOURCE: &str = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";

pub(in super::super) fn attachment(attachment: &Value, out: &mut Report) {
    let spec = spec_of(attachment);
    csi::driver_name(&SPEC.child("attacher"), spec.text("attacher"), out);
    let at = SPEC.child("source");
    let source = spec.at("source").unwrap_or(&Value::Null);
    let name = source.at("persistentVolumeName").and_then(Value::as_str);
    match (source.at("inlineVolumeSpec"), name) {
        (None, None) => out.required(&at, ONE_SOURCE),
        (Some(_), Some(_)) => out.forbidden(&at, ONE_SOURCE),
        (None, Some("")) => {
            out.required(&at.child("persistentVolumeName"), "must specify non empty persistentVolumeName");
        }
        (None, Some(_)) => {}
        (Some(inline), None) => volumes::inline(&at.child("inlineVolumeSpec"), inline, out),
    }
    let node = spec.text("nodeName");
    out.invalid_each(&SPEC.child("nodeName"), node, subdomain(node));
    status(attachment, out);
    if let Some(name) = name {
        out.invalid_each(&at.child("persistentVolumeName"), name, subdomain(name));
    }
}

fn status(attachment: &Value, out: &mut Report) {
    let at = At::root("status");
    let Some(status) = attachment.at("status") else { return };
    let size: usize =
        status.entries("attachmentMetadata").map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if size > MAX_METADATA {
        out.too_long(&at.child("attachmentMetadata"), MAX_METADATA);
    }
    for key in ["attachError", "detachError"] {
        let Some(error) = status.at(key) else { continue };
        let at = at.child(key);
        if error.text("message").len() > MAX_MESSAGE {
            // Upstream names the other limit here.
            out.too_long(&at.child("message"), MAX_METADATA);
        }
        if error.int("errorCode") < 0 {
            let detail = format!("must be between 0 and {}, inclusive", i32::MAX);
            out.invalid(&at.child("errorCode"), error.int("errorCode"), detail);
        }
    }
}

pub(in super::super) fn attachment_update(new: &Value, old: &Value, out: &mut Report) {
    super::spec_update(new, old, out);
}

/// A status is changed under the rules of the whole object.
pub(in super::super) fn attachment_status(new: &Value, old: &Value, out: &mut Report) {
    attachment(new, out);
    attachment_update(new, old, out);
}

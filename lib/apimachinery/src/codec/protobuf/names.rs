//! The names that Go's types have for their fields, as errors say them.

/// Words that are written in capitals at the start of a name.
const WORDS: &[(&str, &str)] = &[
    ("api", "API"),
    ("csi", "CSI"),
    ("fc", "FC"),
    ("fs", "FS"),
    ("gce", "GCE"),
    ("id", "ID"),
    ("ip", "IP"),
    ("iscsi", "ISCSI"),
    ("nfs", "NFS"),
    ("pid", "PID"),
    ("rbd", "RBD"),
    ("tcp", "TCP"),
    ("tls", "TLS"),
    ("ttl", "TTL"),
    ("uid", "UID"),
    ("uri", "URI"),
    ("url", "URL"),
];

/// The field that JSON calls `json`; of what is inlined there is none.
pub(super) fn of_field(json: &str) -> String {
    let end = json.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(json.len());
    let (first, rest) = json.split_at(end);
    if json == "metadata" {
        return "ObjectMeta".to_owned();
    }
    if let Some((_, capitals)) = WORDS.iter().find(|(word, _)| *word == first) {
        return format!("{capitals}{rest}");
    }
    let mut letters = json.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_gos_names() {
        for (json, want) in [
            ("initiatorName", "InitiatorName"),
            ("uid", "UID"),
            ("apiVersion", "APIVersion"),
            ("hostIP", "HostIP"),
            ("ttlSecondsAfterFinished", "TTLSecondsAfterFinished"),
            ("fsType", "FSType"),
            ("metadata", "ObjectMeta"),
            ("", ""),
        ] {
            assert_eq!(of_field(json), want, "{json}");
        }
    }
}

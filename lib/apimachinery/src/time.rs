//! Times on the wire: `Time` has seconds, `MicroTime` microseconds, both RFC 3339 in UTC.

/// Now, as `meta/v1.Time` prints it: `2026-01-02T03:04:05Z`.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Now, as `meta/v1.MicroTime` prints it: `2026-01-02T03:04:05.123456Z`.
pub fn now_micro() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

//! Whether a server may have its certificate, and if not, why, in Go's words. Signatures and what keys may be used for
//! are verified elsewhere.
//!
//! Upstream: Go's `crypto/x509` (`Certificate.Verify`).

use pki::Certificate;
use std::net::IpAddr;

/// How many authorities are looked at before one gives up.
const MOST_STEPS: usize = 100;

/// From how many names on they are only counted.
const MANY_NAMES: usize = 100;

/// Judges the certificate of a server that is reached by `name`, at a time in seconds since 1970.
///
/// # Errors
/// Why it will not do.
pub(super) fn judge(
    leaf: &Certificate,
    intermediates: &[Certificate],
    roots: &[Certificate],
    name: &str,
    now: i64,
) -> Result<(), String> {
    valid(leaf, now)?;
    named(leaf, name)?;
    if is_trusted(leaf, roots) {
        return Ok(());
    }
    let mut search = Search { intermediates, roots, now, steps: 0 };
    constrained(&search.chain(&[leaf])?)
}

/// Whether a certificate is one of those that are trusted.
pub(super) fn is_trusted(leaf: &Certificate, roots: &[Certificate]) -> bool {
    roots.iter().any(|root| root.der == leaf.der)
}

/// What is said of a certificate that nobody who is trusted signed. Of an authority that has the right name, but not
/// the right key, it is told.
pub(super) fn unknown_authority(leaf: &Certificate, roots: &[Certificate]) -> String {
    let candidate = roots.iter().find(|root| root.subject == leaf.issuer && root.der != leaf.der);
    let Some((candidate, why)) = candidate.and_then(|root| Some((root, unsigned(root)?))) else {
        return UNKNOWN.to_owned();
    };
    possibly(candidate, why)
}

const UNKNOWN: &str = "certificate signed by unknown authority";

fn possibly(candidate: &Certificate, why: &str) -> String {
    let called = crate::print::quote(&candidate.called);
    format!("{UNKNOWN} (possibly because of {why:?} while trying to verify candidate authority certificate {called})")
}

/// What is said of a signature that is not by this key.
fn unsigned(by: &Certificate) -> Option<&'static str> {
    match by.key_algorithm.as_str() {
        "1.2.840.113549.1.1.1" => Some("crypto/rsa: verification error"),
        "1.2.840.10045.2.1" => Some("x509: ECDSA verification failure"),
        "1.3.101.112" => Some("x509: Ed25519 verification failure"),
        _ => None,
    }
}

/// Whether a certificate is good by itself.
fn valid(certificate: &Certificate, now: i64) -> Result<(), String> {
    const WHEN: &str = "certificate has expired or is not yet valid: current time";
    let Certificate { not_before, not_after, .. } = *certificate;
    match () {
        () if certificate.has_unknown_critical => Err("unhandled critical extension".into()),
        () if now < not_before => Err(format!("{WHEN} {} is before {}", moment(now), moment(not_before))),
        () if now > not_after => Err(format!("{WHEN} {} is after {}", moment(now), moment(not_after))),
        () => Ok(()),
    }
}

fn moment(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// Looks for a way from a certificate to one that is trusted.
struct Search<'a> {
    intermediates: &'a [Certificate],
    roots: &'a [Certificate],
    now: i64,
    steps: usize,
}

impl<'a> Search<'a> {
    /// The first way, or why there is none.
    fn chain(&mut self, so_far: &[&'a Certificate]) -> Result<Vec<&'a Certificate>, String> {
        let Some(last) = so_far.last() else { return Err(UNKNOWN.to_owned()) };
        let (mut hint, mut failure) = (None, None);
        let roots = self.roots.iter().map(|root| (true, root));
        let candidates = roots.chain(self.intermediates.iter().map(|intermediate| (false, intermediate)));
        for (is_root, candidate) in candidates.filter(|(_, candidate)| candidate.subject == last.issuer) {
            self.steps += 1;
            if self.steps > MOST_STEPS {
                return Err("signature check attempts limit reached while verifying certificate chain".into());
            }
            if so_far.iter().any(|one| one.der == candidate.der) {
                continue;
            }
            if !may_sign(candidate) {
                hint.get_or_insert((candidate, FORBIDDEN));
                continue;
            }
            let further = [so_far, &[candidate]].concat();
            let outcome = valid(candidate, self.now).and_then(|()| fits(candidate, is_root, so_far));
            match outcome.and_then(|()| if is_root { Ok(further) } else { self.chain(&further) }) {
                Ok(chain) => return Ok(chain),
                Err(why) => failure = Some(why),
            }
        }
        let unknown = || hint.map_or_else(|| UNKNOWN.to_owned(), |(candidate, why)| possibly(candidate, why));
        Err(failure.unwrap_or_else(unknown))
    }
}

const FORBIDDEN: &str = "x509: invalid signature: parent certificate cannot sign this kind of certificate";

fn may_sign(candidate: &Certificate) -> bool {
    let is_none = candidate.authority == Some(false) || candidate.is_version_3 && candidate.authority.is_none();
    !is_none && candidate.signs_certificates != Some(false)
}

/// Whether an authority may stand above a chain.
fn fits(candidate: &Certificate, is_root: bool, below: &[&Certificate]) -> Result<(), String> {
    if !is_root && candidate.authority != Some(true) {
        return Err("certificate is not authorized to sign other certificates".into());
    }
    let between = below.len().saturating_sub(1);
    match candidate.path_length.is_some_and(|most| usize::try_from(most).is_ok_and(|most| between > most)) {
        true => Err("too many intermediates for path length constraint".into()),
        false => Ok(()),
    }
}

/// Whether all names in a chain are those that the authorities above may sign for.
fn constrained(chain: &[&Certificate]) -> Result<(), String> {
    for (i, below) in chain.iter().enumerate() {
        for above in &chain[i + 1..] {
            allowed(below, above).map_err(|why| {
                format!("a root or intermediate certificate is not authorized to sign for this name: {why}")
            })?;
        }
    }
    Ok(())
}

fn allowed(below: &Certificate, above: &Certificate) -> Result<(), String> {
    let (permitted, excluded) = (&above.permitted, &above.excluded);
    for address in &below.addresses {
        let within = |network: &&(IpAddr, u32)| contains(**network, *address);
        if !permitted.networks.is_empty() && permitted.networks.iter().find(within).is_none() {
            return Err(format!("IP address \"{address}\" is not permitted by any constraint"));
        }
        if let Some((start, bits)) = excluded.networks.iter().find(within) {
            return Err(format!("IP address \"{address}\" is excluded by constraint \"{start}/{bits}\""));
        }
    }
    for name in &below.dns_names {
        let within = |domain: &&String| is_below(name, domain);
        if !permitted.domains.is_empty() && permitted.domains.iter().find(within).is_none() {
            return Err(format!("DNS name {name:?} is not permitted by any constraint"));
        }
        if let Some(domain) = excluded.domains.iter().find(within) {
            return Err(format!("DNS name {name:?} is excluded by constraint {domain:?}"));
        }
    }
    Ok(())
}

fn contains((start, bits): (IpAddr, u32), address: IpAddr) -> bool {
    match (start, address) {
        (IpAddr::V4(start), IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
            u32::from(start) & mask == u32::from(address) & mask
        }
        (IpAddr::V6(start), IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
            u128::from(start) & mask == u128::from(address) & mask
        }
        _ => false,
    }
}

fn is_below(name: &str, domain: &str) -> bool {
    let (name, domain) = (name.to_ascii_lowercase(), domain.trim_start_matches('.').to_ascii_lowercase());
    domain.is_empty() || name.strip_suffix(&domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether a certificate has a server's name.
fn named(leaf: &Certificate, name: &str) -> Result<(), String> {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return match leaf.addresses.iter().any(|own| own.to_canonical() == address.to_canonical()) {
            true => Ok(()),
            false => Err(misnamed(leaf, bare)),
        };
    }
    let lower = name.to_ascii_lowercase();
    let parts = parts(&lower);
    let usual = is_name(lower.strip_suffix('.').unwrap_or(&lower), false);
    let matches = |own: &String| match usual && is_name(own, true) {
        true => is_match(own, &parts),
        false => !matches!(lower.as_str(), "" | ".") && own.eq_ignore_ascii_case(&lower),
    };
    if leaf.dns_names.iter().any(matches) { Ok(()) } else { Err(misnamed(leaf, name)) }
}

fn misnamed(leaf: &Certificate, name: &str) -> String {
    if !leaf.has_names && is_match(&leaf.common_name, &parts(name)) {
        return "certificate relies on legacy Common Name field, use SANs instead".into();
    }
    let is_address = name.parse::<IpAddr>().is_ok();
    let names: Vec<String> = match is_address {
        true => leaf.addresses.iter().map(ToString::to_string).collect(),
        false => leaf.dns_names.clone(),
    };
    match (names.len(), is_address) {
        (0, true) => format!("cannot validate certificate for {name} because it doesn't contain any IP SANs"),
        (many, true) if many >= MANY_NAMES => {
            format!("certificate is valid for {many} IP SANs, but none matched {name}")
        }
        (many, false) if many >= MANY_NAMES => {
            format!("certificate is valid for {many} names, but none matched {name}")
        }
        (0, false) => format!("certificate is not valid for any names, but wanted to match {name}"),
        _ => format!("certificate is valid for {}, not {name}", names.join(", ")),
    }
}

fn parts(name: &str) -> Vec<&str> {
    name.strip_suffix('.').unwrap_or(name).split('.').collect()
}

/// Whether a name is one of those that a pattern means: a star stands for its first part.
fn is_match(pattern: &str, name: &[&str]) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    let own: Vec<&str> = pattern.split('.').collect();
    let same = |(i, (own, part)): (usize, (&&str, &&str))| i == 0 && *own == "*" || own == part;
    !pattern.is_empty() && own.len() == name.len() && own.iter().zip(name).enumerate().all(same)
}

/// Whether it is a name as name servers have them, or a pattern of such.
fn is_name(name: &str, pattern: bool) -> bool {
    let of_label = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_label = |label: &str| !label.is_empty() && !label.starts_with('-') && label.chars().all(of_label);
    let mut labels = name.split('.').enumerate();
    name != "*" && labels.all(|(i, label)| pattern && i == 0 && label == "*" || is_label(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(subject: &str, issuer: &str) -> Certificate {
        Certificate {
            der: format!("{subject} by {issuer}").into_bytes(),
            subject: subject.into(),
            issuer: issuer.into(),
            common_name: subject.into(),
            called: subject.into(),
            not_after: 1000,
            is_version_3: true,
            ..Certificate::default()
        }
    }

    fn authority(subject: &str, issuer: &str) -> Certificate {
        Certificate { authority: Some(true), ..certificate(subject, issuer) }
    }

    fn web() -> Certificate {
        let addresses = vec!["10.0.0.1".parse().expect("an address"), "::1".parse().expect("an address")];
        let dns_names = vec!["web".into(), "*.a.test".into()];
        Certificate { has_names: true, dns_names, addresses, ..certificate("w", "ca") }
    }

    #[test]
    fn names_are_compared_as_go_does() {
        let told = |name: &str| named(&web(), name).err().unwrap_or_default();
        for name in ["web", "WEB", "web.", "b.a.test", "10.0.0.1", "[::1]", "::1", "0:0::1"] {
            assert_eq!(told(name), "", "{name}");
        }
        for name in ["a.test", "c.b.a.test", "-x", "*.x", "a b", ""] {
            assert_eq!(told(name), format!("certificate is valid for web, *.a.test, not {name}"), "{name}");
        }
        assert_eq!(told("10.0.0.2"), "certificate is valid for 10.0.0.1, ::1, not 10.0.0.2");
        let with = |dns_names: Vec<String>| Certificate { dns_names, has_names: true, ..certificate("w", "ca") };
        for (names, name, want) in [
            (vec!["*".to_owned()], "web", "certificate is valid for *, not web"),
            (vec!["*.com".to_owned()], "a.com", ""),
            (vec!["w*".to_owned()], "web", "certificate is valid for w*, not web"),
            (vec![], "web", "certificate is not valid for any names, but wanted to match web"),
            (vec![], "::1", "cannot validate certificate for ::1 because it doesn't contain any IP SANs"),
            (vec!["x".to_owned(); 100], "web", "certificate is valid for 100 names, but none matched web"),
        ] {
            assert_eq!(named(&with(names), name).err().unwrap_or_default(), want, "{name}");
        }
        let legacy = "certificate relies on legacy Common Name field, use SANs instead";
        assert_eq!(named(&certificate("web", "ca"), "web"), Err(legacy.to_owned()));
    }

    #[test]
    fn chains_lead_to_who_is_trusted() {
        let judged = |leaf: &Certificate, between: &[Certificate], roots: &[Certificate]| {
            judge(leaf, between, roots, "web", 500).err().unwrap_or_default()
        };
        let (leaf, root) = (web(), authority("ca", "ca"));
        let below = Certificate { issuer: b"between".to_vec(), ..web() };
        let between = authority("between", "ca");
        assert_eq!(judged(&leaf, &[], std::slice::from_ref(&root)), "");
        assert_eq!(judged(&leaf, &[], std::slice::from_ref(&leaf)), "");
        assert_eq!(judged(&below, std::slice::from_ref(&between), std::slice::from_ref(&root)), "");
        assert_eq!(judged(&below, &[], std::slice::from_ref(&root)), UNKNOWN);
        let forbidden = |who: &str| {
            format!(
                "{UNKNOWN} (possibly because of {FORBIDDEN:?} while trying to verify candidate authority certificate {who:?})"
            )
        };
        assert_eq!(judged(&leaf, &[], &[certificate("ca", "ca")]), forbidden("ca"));
        let no_signer = Certificate { signs_certificates: Some(false), ..root.clone() };
        assert_eq!(judged(&leaf, &[], &[no_signer]), forbidden("ca"));
        let short = Certificate { path_length: Some(0), ..root.clone() };
        let too_many = "too many intermediates for path length constraint";
        assert_eq!(judged(&below, std::slice::from_ref(&between), std::slice::from_ref(&short)), too_many);
        assert_eq!(judged(&leaf, &[], &[short]), "");
        let when = "certificate has expired or is not yet valid: current time 1970-01-01T00:08:20Z is";
        let old = Certificate { not_after: 60, ..root.clone() };
        assert_eq!(judged(&leaf, &[], &[old]), format!("{when} after 1970-01-01T00:01:00Z"));
        let early = Certificate { not_before: 600, ..leaf.clone() };
        assert_eq!(judged(&early, &[], std::slice::from_ref(&root)), format!("{when} before 1970-01-01T00:10:00Z"));
        let odd = Certificate { has_unknown_critical: true, ..leaf.clone() };
        assert_eq!(judged(&odd, &[], std::slice::from_ref(&root)), "unhandled critical extension");
        let ring = [authority("a", "b"), authority("b", "a")];
        assert_eq!(judged(&Certificate { issuer: b"a".to_vec(), ..web() }, &ring, &[root]), UNKNOWN);
    }

    #[test]
    fn authorities_may_be_bound_to_names() {
        let told = |permitted: (&[&str], &[(&str, u32)]), excluded: (&[&str], &[(&str, u32)])| {
            let of = |(domains, networks): (&[&str], &[(&str, u32)])| pki::Constraints {
                domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
                networks: networks.iter().map(|(ip, bits)| (ip.parse().expect("an address"), *bits)).collect(),
            };
            let root = Certificate { permitted: of(permitted), excluded: of(excluded), ..authority("ca", "ca") };
            judge(&web(), &[], &[root], "web", 500).err().unwrap_or_default()
        };
        let refused =
            |why: &str| format!("a root or intermediate certificate is not authorized to sign for this name: {why}");
        assert_eq!(told((&["web", "test"], &[("10.0.0.0", 8), ("::", 0)]), (&["b"], &[("127.0.0.0", 8)])), "");
        let no = "is not permitted by any constraint";
        assert_eq!(told((&["test"], &[]), (&[], &[])), refused(&format!("DNS name \"web\" {no}")));
        assert_eq!(told((&[], &[("10.0.0.0", 8)]), (&[], &[])), refused(&format!("IP address \"::1\" {no}")));
        let excluded = refused("IP address \"10.0.0.1\" is excluded by constraint \"10.0.0.0/24\"");
        assert_eq!(told((&[], &[]), (&["x"], &[("10.0.0.0", 24)])), excluded);
        assert_eq!(
            told((&[], &[]), (&["a.test"], &[])),
            refused("DNS name \"*.a.test\" is excluded by constraint \"a.test\"")
        );
    }

    #[test]
    fn keys_are_told_that_did_not_sign() {
        let root = Certificate { key_algorithm: "1.2.840.10045.2.1".into(), ..authority("ca", "ca") };
        let told = unknown_authority(&web(), &[root]);
        let want = "(possibly because of \"x509: ECDSA verification failure\" while trying to verify candidate authority certificate \"ca\")";
        assert_eq!(told, format!("{UNKNOWN} {want}"));
        assert_eq!(unknown_authority(&web(), &[]), UNKNOWN);
    }
}
